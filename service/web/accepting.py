"""Accepting connections as long as there are file descriptors for them.

Tornado (6.6) lets the error out when there are none, and its event loop calls again at once: a full core, and
thousands of tracebacks a second. Here new connections wait with the kernel until there is room again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import add_accept_handler

from service.background import spawn

__all__ = ("PausingHTTPServer", "out_of_files", "raise_file_limit")

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
"""Until the next try."""

SILENT_SECONDS = 5.0
"""How long at least a connection may say nothing until it is left to Tornado."""

SAID_SECONDS = 60.0
"""Between two log lines about it."""

MAX_FILES = 1024 * 1024
"""What the limit is raised to where the system has none."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def out_of_files(error: BaseException | None) -> bool:
    """Whether the system had no descriptor (or memory for one) to give."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def raise_file_limit() -> int:
    """Raise this process' soft limit of open files to the hard one; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            log.debug("the limit of open files stays at %d: %s", soft, error)
            return soft
    return wanted


Takes = Callable[[socket.socket], Awaitable[bool]]
"""Whether a new connection was taken. If not, nothing has happened to it."""


class PausingHTTPServer(HTTPServer):
    """``paused`` is called each time that accepting pauses; ``takes`` may have connections before Tornado."""

    def initialize(  # type: ignore[override]
        self, *args: Any, paused: Callable[[], None], takes: Takes | None = None, **options: Any
    ) -> None:
        super().initialize(*args, **options)
        self._paused = paused
        self._takes = takes
        self._silent: dict[socket.socket, tuple[Takes, Any]] = {}
        """Connections that nothing has come from yet, with who may take them, and their addresses."""
        self._looks_again = False
        """There is a timer for them: one for all."""
        self._said = -SAID_SECONDS

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        for each in sockets:
            self._sockets[each.fileno()] = each
            self._accept_from(each)

    def _accept_from(self, listening: socket.socket) -> None:
        source: Any = _Listening(listening, self._pause)
        self._handlers[listening.fileno()] = add_accept_handler(source, self._connected)

    def _connected(self, connection: socket.socket, address: Any) -> None:
        if self._takes is None:
            self._handle_connection(connection, address)
        elif _is_silent(connection):
            self._wait_for(connection, self._takes, address)
        else:
            spawn(self._offer(self._takes, connection, address))

    def _wait_for(self, connection: socket.socket, takes: Takes, address: Any) -> None:
        loop = asyncio.get_running_loop()
        self._silent[connection] = takes, address
        loop.add_reader(connection, self._readable, connection)
        if not self._looks_again:
            self._look_again(frozenset())

    def _readable(self, connection: socket.socket) -> None:
        takes, address = self._forget(connection)
        spawn(self._offer(takes, connection, address))

    def _forget(self, connection: socket.socket) -> tuple[Takes, Any]:
        asyncio.get_running_loop().remove_reader(connection)
        return self._silent.pop(connection)

    def _give_up_waiting(self, known: frozenset[socket.socket]) -> None:
        """Those that have said nothing since the last time are Tornado's, which has a limit for that."""
        for connection in known & self._silent.keys():
            _, address = self._forget(connection)
            self._handle_connection(connection, address)
        self._looks_again = False
        if self._silent:
            self._look_again(frozenset(self._silent))

    def _look_again(self, known: frozenset[socket.socket]) -> None:
        self._looks_again = True
        asyncio.get_running_loop().call_later(SILENT_SECONDS, self._give_up_waiting, known)

    async def close_all_connections(self) -> None:
        for connection in list(self._silent):
            self._forget(connection)
            connection.close()
        await super().close_all_connections()

    async def _offer(self, takes: Takes, connection: socket.socket, address: Any) -> None:
        if not await takes(connection):
            self._handle_connection(connection, address)

    def _pause(self, listening: socket.socket) -> None:
        number, loop = listening.fileno(), IOLoop.current()
        self._handlers[number]()
        again = loop.call_later(PAUSE_SECONDS, self._accept_from, listening)
        self._handlers[number] = lambda: loop.remove_timeout(again)  # what stop() calls
        self._paused()
        now = time.monotonic()
        if now - self._said >= SAID_SECONDS:
            self._said = now
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            log.warning("no file descriptors are left (the limit is %d): new connections have to wait", limit)


def _is_silent(connection: socket.socket) -> bool:
    """Whether nothing has come yet, not even its end."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError as error:
        log.debug("a connection broke before anything came from it: %s", error)
    return False


class _Listening:
    """A listening socket that has nobody to accept while there are no descriptors."""

    def __init__(self, listening: socket.socket, pause: Callable[[socket.socket], None]) -> None:
        self._listening = listening
        self._pause = pause

    def fileno(self) -> int:
        return self._listening.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return self._listening.accept()
        except OSError as error:
            if not out_of_files(error):
                raise
            self._pause(self._listening)
            raise BlockingIOError from error
