"""Options: connections: HTTP's, and the messages, headers and cookies on them."""

from __future__ import annotations

from dataclasses import dataclass

from service.limits import DEFAULT_MAX_MESSAGE_BYTES
from service.options import boolean, integer, option, text
from service.settings import values

__all__ = (
    "ConnectionSettings",
    "MessageSettings",
)


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """Connections, and the proxy before them."""

    use_xheaders: bool = option(
        "--use-xheaders",
        boolean,
        "Take address and scheme of a client from the X- headers of a proxy",
        "false",
        arity="switch",
        env=("SVC_USE_XHEADERS",),
    )
    keep_alive: float = option(
        "--keep-alive",
        values.milliseconds,
        "How often to ping clients, 0 for never",
        "37000",
        metavar="MILLISECONDS",
        env=("SVC_KEEP_ALIVE",),
    )
    """Seconds; 0 for never."""


@dataclass(frozen=True, kw_only=True)
class MessageSettings:
    """WebSocket messages, and the headers and cookies that apps are given."""

    websocket_max_message_size: int = option(
        "--websocket-max-message-size",
        integer(1),
        "Largest message a client may send",
        str(DEFAULT_MAX_MESSAGE_BYTES),
        metavar="BYTES",
        env=("SVC_WEBSOCKET_MAX_MESSAGE_SIZE",),
    )
    websocket_compression_level: int | None = option(
        "--websocket-compression-level",
        integer(0, 9),
        "Compress WebSocket messages (not at all if not given); 9 is the smallest and slowest",
        metavar="LEVEL",
        env=("SVC_WEBSOCKET_COMPRESSION_LEVEL",),
    )
    websocket_compression_mem_level: int | None = option(
        "--websocket-compression-mem-level",
        integer(1, 9),
        "Memory for compressing WebSocket messages; 9 is the most",
        metavar="LEVEL",
        env=("SVC_WEBSOCKET_COMPRESSION_MEM_LEVEL",),
    )
    include_headers: tuple[str, ...] = option(
        "--include-headers",
        text,
        "Request headers that apps may see (all if not given)",
        "",
        metavar="HEADER",
        arity="some",
        env=("SVC_INCLUDE_HEADERS",),
    )
    exclude_headers: tuple[str, ...] = option(
        "--exclude-headers",
        text,
        "Request headers that apps may not see",
        "",
        metavar="HEADER",
        arity="some",
        env=("SVC_EXCLUDE_HEADERS",),
    )
    include_cookies: tuple[str, ...] = option(
        "--include-cookies",
        text,
        "Request cookies that apps may see (all if not given)",
        "",
        metavar="COOKIE",
        arity="some",
        env=("SVC_INCLUDE_COOKIES",),
    )
    exclude_cookies: tuple[str, ...] = option(
        "--exclude-cookies",
        text,
        "Request cookies that apps may not see",
        "",
        metavar="COOKIE",
        arity="some",
        env=("SVC_EXCLUDE_COOKIES",),
    )
