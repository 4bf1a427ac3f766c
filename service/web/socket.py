"""The browser's WebSocket: admitted or refused before the upgrade, then a connection or a relay."""

from __future__ import annotations

import time
from typing import Any

from tornado.web import HTTPError

from service import logs
from service.errors import TokenExpired, TokenInvalid
from service.tokens import VerifiedToken
from service.web.joining import Arrival
from service.web.opening import AppHandler
from service.web.requests import request_from_payload
from service.web.upgrade import UpgradeHandler
from service.web.websocket import Socket
from store.contract import PageRequest

__all__ = ("SocketHandler", "offered_token")


class SocketHandler(UpgradeHandler, AppHandler):
    """``/app/ws``, with the token as second subprotocol."""

    below_app = "/ws"
    token: VerifiedToken

    async def get(self, *args: Any, **kwargs: Any) -> None:
        # Ours first: Tornado 6.6 does not ask check_origin when Origin equals Host.
        self.services.origins.check(self.request.headers.get("Origin"), self.request.host)
        self.check_upgrade()
        offered = offered_token(self.request.headers.get("Sec-WebSocket-Protocol", ""))
        self.token = self.services.tokens.verify(offered, self.app.path)
        self.services.tokens.check_user(self.token, *self.users)
        await super().get(*args, **kwargs)

    async def turn_away(self) -> None:
        raise HTTPError(403, "log in first")

    def get_compression_options(self) -> dict[str, Any] | None:
        settings = self.services.settings
        level, memory = settings.websocket_compression_level, settings.websocket_compression_mem_level
        if level is None:
            return None
        return {"compression_level": level, **({} if memory is None else {"mem_level": memory})}

    def check_origin(self, origin: str) -> bool:
        return True  # get() has checked it, by stricter rules

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "bokeh"

    async def open(self, *args: str, **kwargs: str) -> None:
        self._arrival = Arrival(self.services, self.app, self.token, self._own_request)
        logs.bind_log_context(**self._arrival.key.facts)
        await super().open(*args, **kwargs)

    async def opened(self, websocket: Socket) -> None:
        await self._arrival.opened(websocket)

    def _own_request(self) -> PageRequest | None:
        """What a session may be begun with when there is no handoff: a Bokeh token brings it along."""
        if self.token.minted_by_us:
            return None
        if self.token.expired(time.time()):
            raise TokenExpired("the token has expired; see --session-token-expiration")
        payload = self.token.payload or {}
        request = request_from_payload(self.request, self.services.settings, payload, self.user, self.login)
        return self.placed(request)


def offered_token(subprotocols: str) -> str:
    """The token among what a ``Sec-WebSocket-Protocol`` header offers. Raises TokenInvalid."""
    offered = [part.strip() for part in subprotocols.split(",")]
    if len(offered) != 2 or offered[0] != "bokeh":
        raise TokenInvalid("the subprotocols are not 'bokeh' and a token")
    return offered[1]
