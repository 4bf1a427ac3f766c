"""Which pages may open a WebSocket here: Bokeh's allow-list rules, as pure functions.

The rules are those of ``bokeh/server/util.py`` (``match_host``, ``check_allowlist``): labels are
compared one by one, ``*`` stands for one label or for any port, a lone ``*`` for everything.
Where we differ, the docstrings say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from service.errors import ConfigError, OriginRefused

__all__ = ("Address", "OriginPolicy", "Pattern", "SameHost", "parse_address", "parse_origin")

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?"
)
_PATTERN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]?#\\]+)(?::(?P<port>\*|[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]+)")
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HTTP = 80
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Address:
    """A host as browsers write it in ``Origin`` and ``Host``, normalised for comparison."""

    host: str
    """Lower case, without a trailing dot; an IPv6 literal in its shortest form, in brackets."""
    port: int | None
    """None when not written."""
    scheme: str = ""

    @property
    def ports(self) -> set[int]:
        """The ports it may mean. Without one, also 80, whatever the scheme, as Bokeh has it."""
        if self.port is not None:
            return {self.port}
        return {_HTTP, _DEFAULT_PORTS.get(self.scheme, _HTTP)}

    @property
    def is_ip(self) -> bool:
        return self.host.startswith("[") or _is_ipv4(self.host)

    @property
    def is_single_label(self) -> bool:
        return "." not in self.host


def parse_address(text: str) -> Address:
    """``HOST[:PORT]`` of a ``Host`` header. Raises ValueError for anything else, userinfo included."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise ValueError("not a host name")
    return Address(_normal_host(found["host"]), _port(found["port"]))


def parse_origin(text: str) -> Address:
    """``SCHEME://HOST[:PORT]`` of an ``Origin`` header. Raises ValueError for anything else."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValueError("not an origin")
    address = parse_address(found["authority"])
    return Address(address.host, address.port, found["scheme"].lower())


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of the allow list: ``HOST[:PORT]``, ``*`` for any label, any port, or everything."""

    host: str
    port: int | None
    """None means any port."""
    default_port: bool = False
    """No port was written: 80 as in Bokeh, and 443 for https origins (differs from Bokeh)."""

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ValueError with a reason."""
        if "://" in text:
            raise ValueError("give HOST or HOST:PORT, not a URL")
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ValueError("not HOST or HOST:PORT")
        host, port = _pattern_host(found["host"]), found["port"]
        if port is None:
            return cls(host, None, default_port=host != "*")
        return cls(host, None if port == "*" else _port(port))

    @property
    def matches_everything(self) -> bool:
        return self.host == "*" and self.port is None

    def matches(self, address: Address) -> bool:
        """Whether host and port both fit."""
        return self._matches_port(address) and self.matches_host(address)

    def matches_host(self, address: Address) -> bool:
        """Whether the host fits, on any port."""
        if self.host == "*":
            return True
        labels, wanted = address.host.split("."), self.host.split(".")
        if len(labels) != len(wanted) or (self._is_ip_range and not address.is_ip):
            return False
        return all(w in ("*", label) for label, w in zip(labels, wanted, strict=True))

    @property
    def _is_ip_range(self) -> bool:
        """``10.1.*.*`` means addresses: in Bokeh it also admits the name ``10.1.evil.com``."""
        labels = self.host.split(".")
        fixed = [label for label in labels if label != "*"]
        return len(labels) == 4 and bool(fixed) and all(label.isdecimal() for label in fixed)

    def _matches_port(self, address: Address) -> bool:
        if self.default_port:
            mine = {_HTTP, _HTTPS} if address.scheme in ("https", "wss") else {_HTTP}
            return not mine.isdisjoint(address.ports)
        return self.port is None or self.port in address.ports


class OriginPolicy:
    """Who may connect, decided from a request's ``Origin`` and ``Host`` headers.

    - No ``Origin``: accepted. Browsers always send one with a WebSocket, so this is no browser,
      and nobody's cookies are at risk.
    - ``Origin: null`` (sandboxed frames, local files): refused, unless the pattern ``*`` is given.
    - Any other origin must match a pattern, also when it equals ``Host``: a page whose name was
      re-pointed at this server (DNS rebinding) sends both alike.
    - ``Host`` must match a pattern on any port, or be an IP literal or a single-label name
      (``localhost``, a proxy's upstream name): neither can be re-pointed by a stranger.

    Without patterns only pages from this machine are admitted: ``localhost:PORT`` as in Bokeh,
    and its literals ``127.0.0.1:PORT`` and ``[::1]:PORT``. Raises ConfigError for a bad pattern.
    """

    def __init__(self, patterns: Iterable[str], port: int) -> None:
        texts = tuple(patterns) or tuple(f"{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]"))
        self.patterns = tuple(_configured(text) for text in texts)

    @property
    def admits_everyone(self) -> bool:
        """Whether ``*`` is among the patterns, which deserves a warning at start."""
        return any(pattern.matches_everything for pattern in self.patterns)

    def check(self, origin: str | None, host: str) -> None:
        """Raise OriginRefused, saying which option would admit the request."""
        if self.admits_everyone:
            return
        self._check_host(host)
        if origin is not None:
            self._check_origin(origin)

    def allows(self, origin: str) -> bool:
        """Whether pages of ``origin`` may connect, and so read what their user's cookies get them."""
        try:
            return self.admits_everyone or self._matches(parse_origin(origin))
        except ValueError:
            return False

    def _matches(self, address: Address) -> bool:
        return any(pattern.matches(address) for pattern in self.patterns)

    def _check_host(self, host: str) -> None:
        try:
            address = parse_address(host)
        except ValueError:
            raise OriginRefused(f"the Host header {_shown(host)} is not a host name") from None
        if address.is_ip or address.is_single_label:
            return
        if not any(pattern.matches_host(address) for pattern in self.patterns):
            raise OriginRefused(_advice("host", host, address))

    def _check_origin(self, origin: str) -> None:
        try:
            address = parse_origin(origin)
        except ValueError:
            raise OriginRefused(
                f"the origin {_shown(origin)} does not name a host; only --allow-websocket-origin='*' "
                "or SVC_ALLOW_WS_ORIGIN='*' admits it"
            ) from None
        if not self._matches(address):
            raise OriginRefused(_advice("origin", origin, address))


class SameHost(OriginPolicy):
    """Admits pages of the host that the request itself was for, as ``BokehASGI`` does (bokeh 3.10).

    For programs whose addresses are not ours to know. Which hosts are theirs they decide before we are asked.
    """

    def __init__(self) -> None:
        self.patterns = ()

    def check(self, origin: str | None, host: str) -> None:
        if origin is None:
            return
        if not _is_same_host(origin, host):
            raise OriginRefused(
                f"the origin {_shown(origin)} is not the host {_shown(host)}; if its pages may connect, give "
                "allow_websocket_origin"
            )


def _is_same_host(origin: str, host: str) -> bool:
    try:
        theirs, ours = parse_origin(origin), parse_address(host)
    except ValueError:
        return False
    # A Host without a port has that of the scheme, which a proxy may have changed on the way.
    ports = {_HTTP, _HTTPS} if ours.port is None else {ours.port}
    return theirs.host == ours.host and not ports.isdisjoint(theirs.ports)


def _configured(text: str) -> Pattern:
    try:
        return Pattern.parse(text)
    except ValueError as error:
        raise ConfigError(f"--allow-websocket-origin: {_shown(text)}: {error}") from None


def _advice(what: str, text: str, address: Address) -> str:
    name = address.host if address.port is None else f"{address.host}:{address.port}"
    return (
        f"the {what} {_shown(text)} is not allowed; if it should be, start the server with "
        f"--allow-websocket-origin={name} or set SVC_ALLOW_WS_ORIGIN={name}"
    )


def _shown(text: str) -> str:
    """Safe in a log line: quoted, escaped, short."""
    return ascii(text if len(text) <= 100 else text[:100] + "...")


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not 0 < int(text) < 65536:
        raise ValueError("no such port")
    return int(text)


def _normal_host(host: str) -> str:
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    return host.lower().removesuffix(".")


def _pattern_host(host: str) -> str:
    """As :func:`_normal_host`, with ``*`` for labels and names in their own script allowed."""
    if host.startswith("["):
        return _normal_host(host)
    labels = [_pattern_label(label) for label in host.removesuffix(".").split(".")]
    return ".".join(labels)


def _pattern_label(label: str) -> str:
    if label == "*":
        return label
    if not label or "*" in label:
        raise ValueError("a host is labels with dots between; * stands for one whole label")
    return label.lower() if label.isascii() else label.encode("idna").decode()


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
