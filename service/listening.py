"""Where this process listens: a port, a Unix socket, or sockets its parent opened; and how others reach it.

Processes that share a port (``--num-procs``), and one behind a Unix socket, cannot be addressed
there, so they listen for other replicas on a port of their own as well.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tornado.netutil import bind_sockets, bind_unix_socket

from service.errors import ConfigError
from service.settings import NetworkSettings, SecuritySettings

__all__ = ("Hosted", "Inherited", "Listener", "open_metrics_sockets", "open_public_sockets", "server_tls")

log = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections the kernel holds until they are accepted, if `net.core.somaxconn` allows as many.

When a replica goes, all its clients come at once to the others, which are busy restoring. With Tornado's
128 the kernels of the rest would try again after one second, then after three.
"""

MAX_UNIX_PATH = 107
"""Bytes, by Linux' ``sockaddr_un``."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a parent process hands to each of its ``--num-procs`` children."""

    sockets: tuple[int, ...]
    """File descriptors that listen already."""
    lifeline: int
    """A pipe's read end that reaches its end when the parent is gone."""
    ready: int
    """A pipe's write end, to be closed once the apps are loaded."""


class Listener:
    """The open sockets of one process. Raises ConfigError when it cannot have them."""

    def __init__(self, settings: NetworkSettings, inherited: Inherited | None = None) -> None:
        self._settings = settings
        self._advertised = ""
        self._owns_path = inherited is None and settings.unix_socket is not None
        self.tls = server_tls(settings)
        self.public = _adopted(inherited) if inherited else open_public_sockets(settings)
        self.port = 0 if settings.unix_socket else _port_of(self.public)
        """0 behind a Unix socket."""
        own_port = inherited is not None or settings.unix_socket is not None
        self.internal = bind_sockets(0, guess_host(settings).strip("[]"), backlog=BACKLOG) if own_port else []
        """Sockets for other replicas alone; none where the public port is this process' only."""

    @property
    def base_url(self) -> str:
        """Where a browser on this machine finds the server, without the prefix."""
        if self._settings.unix_socket:
            return f"unix:{self._settings.unix_socket}"
        return f"{self._scheme}://{self._settings.address or 'localhost'}:{self.port}"

    @property
    def advertised(self) -> str:
        """Where other replicas find this one: a base URL. After :meth:`find_address`, and never waits."""
        return self._advertised

    def find_address(self) -> None:
        """Find out where others reach this process, once and for all. May wait for DNS."""
        if self._settings.advertise and not self.internal:
            self._advertised = self._settings.advertise
            return
        port = _port_of(self.internal) if self.internal else self.port
        self._advertised = f"{self._scheme}://{guess_host(self._settings)}:{port}"

    def close(self) -> None:
        """Close what is still open, and remove the Unix socket if it was made here. Idempotent."""
        for each in (*self.public, *self.internal):
            each.close()
        if self._owns_path and self._settings.unix_socket:
            with suppress(OSError):
                os.unlink(self._settings.unix_socket)
            self._owns_path = False  # the next one may be somebody else's

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"


class Hosted(Listener):
    """For a replica in a program that listens for browsers itself, at what may be several processes' port.

    With a store that replicas share it listens for them, at ``relay_port`` (0 for any). Raises ConfigError.
    """

    def __init__(self, settings: NetworkSettings, relay_port: int = 0) -> None:
        self._settings = settings
        self._advertised = ""
        self._owns_path = False
        self.tls = server_tls(settings)
        self.public = []
        self.port = 0
        self.internal = _relay_sockets(settings, relay_port) if settings.redis else []

    def find_address(self) -> None:
        if self._settings.advertise:
            self._advertised = self._settings.advertise
        elif self.internal:
            super().find_address()


def _relay_sockets(settings: NetworkSettings, port: int) -> list[socket.socket]:
    address = settings.address or guess_host(settings).strip("[]")
    try:
        return bind_sockets(port, address, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen for other replicas on {address}:{port}: {_advice(error, 'relay_port')}"
        ) from error


def open_public_sockets(settings: NetworkSettings) -> list[socket.socket]:
    """Listen where the settings say. Raises ConfigError."""
    try:
        if settings.unix_socket:
            return [_unix_socket(settings.unix_socket)]
        return bind_sockets(settings.port, settings.address, backlog=BACKLOG)
    except (OSError, ValueError) as error:
        where, flag = f"{settings.address or ''}:{settings.port}", "--port"
        if settings.unix_socket:
            where, flag = settings.unix_socket, "--unix-socket"
        raise ConfigError(f"cannot listen on {where}: {_advice(error, flag)}") from error


def open_metrics_sockets(port: int | None, address: str | None) -> list[socket.socket]:
    """Listen on ``--metrics-port``, if there is one. Raises ConfigError."""
    if port is None:
        return []
    try:
        sockets = bind_sockets(port, address)
    except OSError as error:
        where = f"{address or ''}:{port}"
        raise ConfigError(f"cannot listen on {where}: {_advice(error, '--metrics-port')}") from error
    log.info("metrics at port %d", _port_of(sockets))
    return sockets


def _advice(error: OSError | ValueError, flag: str) -> str:
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; choose an address of this machine with --address"
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRNOTAVAIL:
        return "this machine has no such address; choose one that it has with --address, or none for all"
    reason = "it is in use" if code == errno.EADDRINUSE else getattr(error, "strerror", None) or error
    return f"{reason}; choose another with {flag}"


def server_tls(settings: SecuritySettings) -> ssl.SSLContext | None:
    """How to serve https, None to serve http. Raises ConfigError."""
    if settings.ssl_certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Never None: OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(
            settings.ssl_certfile, settings.ssl_keyfile, password=lambda: settings.ssl_password or ""
        )
    except OSError as error:
        raise ConfigError(
            f"--ssl-certfile {settings.ssl_certfile}: {error.strerror or error}; it needs a PEM certificate "
            "with its private key in it or in --ssl-keyfile, and --ssl-password if that is encrypted"
        ) from error
    return context


def peer_tls(settings: SecuritySettings) -> ssl.SSLContext | None:
    """How to speak https with other replicas: they show the certificate that this one has, too.

    So it is trusted as it is, for whatever address the replica was found at.
    """
    if settings.ssl_certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(settings.ssl_certfile)
    return context


def guess_host(settings: NetworkSettings) -> str:
    """The address under which others most likely reach this process: the one that faces the store."""
    if settings.address and settings.address not in ("0.0.0.0", "::"):
        return settings.address
    host = urlsplit(settings.redis or "").hostname
    if host is None:
        return "127.0.0.1"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, 6379, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.connect(address)  # a UDP socket: nothing is sent
            name: str = probe.getsockname()[0]
            return f"[{name}]" if ":" in name else name
    except OSError:
        return socket.gethostname()


def _unix_socket(path: str) -> socket.socket:
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        raise ValueError(f"a Unix socket's path has at most {MAX_UNIX_PATH} bytes")
    if Path(path).is_socket() and _answers(path):
        raise OSError(errno.EADDRINUSE, "it is in use")
    return bind_unix_socket(path, backlog=BACKLOG)


def _answers(path: str) -> bool:
    """Whether somebody listens there; a socket left over by a crash is no reason to stop."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def _adopted(inherited: Inherited) -> list[socket.socket]:
    sockets = [socket.socket(fileno=number) for number in inherited.sockets]
    for each in sockets:
        each.setblocking(False)
    return sockets


def _port_of(sockets: list[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port
