"""Sockets that tests leave open, as people leave tabs, or half open where they gave up waiting.

They are closed with their event loop. Left to the garbage collector they would warn, which fails whatever
test runs at that moment.
"""

from __future__ import annotations

from socket import socket
from typing import Any

from tornado.iostream import IOStream

__all__ = ("close_left_open", "left_open", "note_connections")

_streams: list[IOStream] = []
"""All that were not closed when it was last looked; nothing else may keep them from being collected."""


def note_connections() -> None:
    """From here on all streams are known that connect to a server, of HTTP and of WebSockets."""
    connect = IOStream.connect

    def noted(self: IOStream, *args: Any, **kwargs: Any) -> Any:
        _streams.append(self)
        return connect(self, *args, **kwargs)

    IOStream.connect = noted  # type: ignore[method-assign]


def left_open() -> list[socket]:
    return [each.socket for each in _streams if each.socket is not None]


def close_left_open() -> None:
    """Close those whose event loops have ended."""
    for stream in _streams:
        if stream.socket is not None and _has_ended(stream):
            stream.socket.close()
    _streams[:] = [each for each in _streams if not (each.closed() or _has_ended(each))]


def _has_ended(stream: IOStream) -> bool:
    loop: Any = stream.io_loop
    return bool(loop.asyncio_loop.is_closed())
