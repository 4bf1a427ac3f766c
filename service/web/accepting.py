"""Accepting connections as long as there are file descriptors for them.

Tornado (6.6) lets the error out when there are none, and its event loop calls again at once: a full core, and
thousands of tracebacks a second. Here new connections wait with the kernel until there is room again.
"""

from __future__ import annotations

import errno
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import add_accept_handler

__all__ = ("PausingHTTPServer", "out_of_files", "raise_file_limit")

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
"""Until the next try."""

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


class PausingHTTPServer(HTTPServer):
    """``paused`` is called each time that accepting pauses."""

    def initialize(  # type: ignore[override]
        self, *args: Any, paused: Callable[[], None], **options: Any
    ) -> None:
        super().initialize(*args, **options)
        self._paused = paused
        self._said = -SAID_SECONDS

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        for each in sockets:
            self._sockets[each.fileno()] = each
            self._accept_from(each)

    def _accept_from(self, listening: socket.socket) -> None:
        source: Any = _Listening(listening, self._pause)
        self._handlers[listening.fileno()] = add_accept_handler(source, self._handle_connection)

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
