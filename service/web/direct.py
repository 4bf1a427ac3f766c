"""WebSocket handshakes done on the socket itself, in one read and one write.

When a thousand pages connect again at once, a third of what their replicas do is Tornado's part of the
handshake: stream, connection, request and handler, which are all thrown away a moment later. What a browser
or another replica sends hardly varies, so its request is looked at where the kernel has it. If all is as it
nearly always is, and the socket would be accepted, it is answered as Tornado (6.5 and 6.6) answers it.

**Everything else is left untouched to Tornado**, which then reads the same bytes as if nobody had looked:
what is not wholly there yet, has an unusual form, names no page's socket, needs to be asked who its user is,
or would be refused. So errors, their pages and log lines are made in one place: nothing here says no.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import tornado
from tornado.httputil import HTTPHeaders, HTTPServerRequest, format_timestamp
from tornado.web import Application
from tornado.websocket import WebSocketProtocol13

from service import logs
from service.apps.app import App
from service.fleet.relay import PAGE_HEADER, TOKEN_ID_HEADER
from service.page_versions import PageVersions
from service.protocol.websocket import FrameReader
from service.web.auth import Auth
from service.web.base import log_failure
from service.web.internal import RelayHandler, join_relayed
from service.web.joining import Arrival, shows
from service.web.services import Services
from service.web.socket import SocketHandler, offered_token
from service.web.websocket import WebSocket
from store.contract import SessionKey

__all__ = ("DirectHandshakes",)

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 8 * 1024
"""Of a request that is looked at; with more cookies it is Tornado's."""

MAX_PATHS = 256
"""Of sockets that were asked for and exist."""

_HEAD = re.compile(
    rb"GET (/[A-Za-z0-9._~/-]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+: [\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\r\n)+)\r\n"
)
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_CONNECTION = frozenset({"upgrade", "keep-alive, upgrade"})

_UNUSUAL = frozenset({"transfer-encoding", "expect"})
_OF_BODIES = "content-"
"""What no such request has, and Tornado makes something of."""
_OF_BROWSERS = frozenset({"origin", "sec-fetch-site"})
"""What replicas do not send, and Tornado makes something of."""
_PAGE, _TOKEN_ID = PAGE_HEADER.lower(), TOKEN_ID_HEADER.lower()

Answers = Callable[[WebSocket], Awaitable[None]]
"""Finds out who answers a socket that is open."""


class _Request(NamedTuple):
    path: str
    fields: Mapping[str, str]
    """Its headers, by their names in small letters."""
    size: int
    """Bytes, with the empty line at its end."""


class _Accepted(NamedTuple):
    key: SessionKey
    answers: Answers
    headers: Mapping[str, str]
    """Of the answer, besides those that all have."""


class DirectHandshakes:
    """For the plain HTTP connections of one application."""

    def __init__(self, services: Services, application: Application) -> None:
        self._services = services
        self._application = application
        self._targets: dict[str, type[RelayHandler] | App] = {}
        """What sockets lead to, by path, as far as they were asked for."""
        # An auth module has to be asked, and what is agreed on about compression is in the answer.
        self._possible = type(services.auth) is Auth and services.settings.websocket_compression_level is None

    async def take(self, connected: socket.socket) -> bool:
        """Whether this was a handshake, which is done, and somebody answers; else nothing has happened."""
        request = self._request(connected)
        if request is None:
            return False
        try:
            accepted = self._accepted(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, Tornado's way meets it again, and says it
            log.debug("a handshake is left to Tornado: %r", error)
            return False
        if accepted is None:
            return False
        logs.bind_log_context(**accepted.key.facts)  # first, as what is read is handled in this context
        websocket = self._open(connected, request, accepted)
        if websocket is not None:
            log.debug("a handshake for %s was done on the socket itself", request.path)
            await _guarded(accepted.answers, websocket, request)
        return True

    def _request(self, connected: socket.socket) -> _Request | None:
        """What is there, if it is whole, and as usual."""
        services = self._services
        if not self._possible or services.auth.asks or not services.ready or services.closed:
            return None
        try:
            data = connected.recv(MAX_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            log.debug("a handshake is left to Tornado: %s", error)
            return None
        found = _HEAD.match(data)
        fields = None if found is None else _usual(found[2].decode("ascii"))
        return None if found is None or fields is None else _Request(found[1].decode(), fields, found.end())

    def _accepted(self, request: _Request) -> _Accepted | None:
        """Raises what speaks against that, as the handlers do."""
        target = self._target(request)
        if isinstance(target, App):
            return self._page(target, request.fields)
        return None if target is None else self._relay(request.fields)

    def _target(self, request: _Request) -> type[RelayHandler] | App | None:
        """Where Tornado's routes lead to, if it is a socket."""
        known = self._targets.get(request.path)
        if known is not None:
            return known
        headers = HTTPHeaders({"Host": request.fields["host"]})
        found: Any = self._application.find_handler(HTTPServerRequest("GET", request.path, headers=headers))
        target = None if found.path_args or found.path_kwargs else _target_of(found)
        if target is not None and len(self._targets) < MAX_PATHS and self._routes_by_path:
            self._targets[request.path] = target
        return target

    @property
    def _routes_by_path(self) -> bool:
        """Whether no program that embeds the server has added routes for some hosts."""
        return len(self._application.default_router.rules) == 1

    def _page(self, app: App, fields: Mapping[str, str]) -> _Accepted | None:
        services = self._services
        if fields.get("sec-fetch-site", "none") not in ("same-origin", "none") and "origin" not in fields:
            return None
        services.origins.check(fields.get("origin"), fields["host"])
        token = services.tokens.verify(offered_token(fields.get("sec-websocket-protocol", "")), app.path)
        services.tokens.check_user(token, None)
        if not token.minted_by_us:  # what its session may be begun with is in the request
            return None
        arrival = Arrival(services, app, token, lambda: None)
        return _Accepted(arrival.key, arrival.opened, {"Sec-Websocket-Protocol": "bokeh"})

    def _relay(self, fields: Mapping[str, str]) -> _Accepted | None:
        """Only to what is here already: the rest may have to be waited for before it is accepted."""
        services = self._services
        scheme, _, bearer = fields.get("authorization", "").partition(" ")
        if scheme != "Bearer" or services.tracing.on or fields.keys() & _OF_BROWSERS:
            return None
        grant = services.tokens.verify_relay(bearer, services.replica, now=services.clock())
        key = SessionKey(grant.app, grant.session_id)
        slot = services.registry.at_hand(key)
        page = None if (text := fields.get(_PAGE)) is None else PageVersions.from_text(text)
        if slot is None or slot.epoch != grant.epoch or not shows(slot, page, services):
            return None
        join_it = partial(join_relayed, slot, fields.get(_TOKEN_ID, ""), page, services)
        return _Accepted(key, join_it, {})

    def _open(self, connected: socket.socket, request: _Request, accepted: _Accepted) -> WebSocket | None:
        """The socket, once the request is taken off it and answered."""
        try:
            taken = connected.recv(request.size, socket.MSG_DONTWAIT)
            connected.setblocking(False)
            if connected.family in (socket.AF_INET, socket.AF_INET6):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            log.debug("a client disconnected during the handshake: %s", error)
            connected.close()
            return None
        assert len(taken) == request.size
        services = self._services
        websocket = WebSocket(
            connected,
            FrameReader(services.settings.websocket_max_message_size),
            among=services.websockets,
            keep_alive=services.keep_alive,
            about=request.path,
        )
        websocket.write(_answer(request.fields["sec-websocket-key"], accepted.headers))
        websocket.resume()
        if not websocket.open:
            log.debug("a client disconnected during the handshake")
            return None
        return websocket


def _usual(text: str) -> dict[str, str] | None:
    """Headers of a handshake as browsers and replicas send it; None for any other."""
    fields: dict[str, str] = {}
    for line in text.split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        name = name.lower()
        if name in fields or name in _UNUSUAL or name.startswith(_OF_BODIES):
            return None
        fields[name] = value
    usual = (
        _HOST.fullmatch(fields.get("host", ""))
        and fields.get("upgrade", "").lower() == "websocket"
        and fields.get("connection", "").lower() in _CONNECTION
        and fields.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(fields.get("sec-websocket-key", ""))
    )
    return fields if usual else None


def _target_of(found: Any) -> type[RelayHandler] | App | None:
    if found.handler_class is RelayHandler:
        return RelayHandler
    if found.handler_class is SocketHandler:
        app: App = found.handler_kwargs["app"]
        return None if app.for_operators else app
    return None


def _answer(key: str, headers: Mapping[str, str]) -> bytes:
    """As Tornado writes it."""
    fields = {
        "Server": f"TornadoServer/{tornado.version}",
        "Date": format_timestamp(time.time()),
        **headers,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-Websocket-Accept": WebSocketProtocol13.compute_accept_value(key),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode("latin-1")


async def _guarded(answers: Answers, websocket: WebSocket, request: _Request) -> None:
    """As Tornado guards a handler that opens."""
    try:
        await answers(websocket)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and ends this connection alone
        log_failure("GET", request.path, error)
        websocket.cut()
