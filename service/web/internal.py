"""What other replicas ask of this one: relays into its sessions, and pages of their Documents."""

from __future__ import annotations

import json
import logging
from typing import Any

from tornado.web import HTTPError

from service import logs
from service.errors import AppError, SessionMoved, TokenExpired, TokenInvalid, TokenMisdirected
from service.fleet.relay import (
    ADOPT_EPOCH,
    OTHER_TOKEN_HEADER,
    PAGE_HEADER,
    ROOT_HEADER,
    STATUS_NOT_OWNER,
    TOKEN_ID_HEADER,
)
from service.page_versions import PageVersions
from service.sessions.notice import app_failed
from service.sessions.registry import SessionSlot
from service.sessions.session import Session
from service.tokens import RelayGrant
from service.tracing import HEADER
from service.web.autoload import Asked, script_of_session
from service.web.base import BaseHandler
from service.web.joining import answer_with_notice, join, make_ready
from service.web.page import render_page
from service.web.services import Services
from service.web.upgrade import UpgradeHandler
from service.web.websocket import Socket
from store.contract import SessionKey

__all__ = ("OwnerAutoloadHandler", "OwnerPageHandler", "RelayHandler", "join_relayed")

log = logging.getLogger(__name__)


class OwnerHandler(BaseHandler):
    """Admits replicas that show a relay token for a session that this one owns."""

    def check_xsrf_cookie(self) -> None:
        """Replicas have no cookies; their tokens cannot be sent by a browser without knowing it."""

    async def owned_session(self) -> Session:
        """As :meth:`owned_slot`, live."""
        session = await (await self.owned_slot()).awake()
        if session is None:
            raise HTTPError(STATUS_NOT_OWNER, "the session is not here")
        return session

    async def owned_slot(self) -> SessionSlot:
        """As :meth:`_owned_slot`, within a span of whoever dialled."""
        parent = self.request.headers.get(HEADER, "")
        with self.services.tracing.span("owner", parent=parent, kind="server"):
            return await self._owned_slot()

    async def _owned_slot(self) -> SessionSlot:
        """Raises TokenInvalid, AppError, and 410 when the session is not ours at that epoch."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise HTTPError(403, "a relay token is missing")
        grant = self._verified(token)
        key = SessionKey(grant.app, grant.session_id)
        logs.bind_log_context(**key.facts)
        slot = await self.find(key, grant.epoch)
        if slot is None or not slot.open:
            raise HTTPError(STATUS_NOT_OWNER, "the session is not here")
        return slot

    def _verified(self, token: str) -> RelayGrant:
        """Either of the two tokens will do: whoever dials may have a newer secret than this replica."""
        tokens, replica, now = self.services.tokens, self.services.replica, self.services.clock()
        try:
            return tokens.verify_relay(token, replica, now=now)
        except TokenExpired:
            raise
        except TokenMisdirected as error:  # whom it was for had this address before
            raise HTTPError(STATUS_NOT_OWNER, str(error)) from error
        except TokenInvalid:
            return tokens.verify_relay(self.request.headers.get(OTHER_TOKEN_HEADER, token), replica, now=now)

    async def find(self, key: SessionKey, epoch: int) -> SessionSlot | None:
        return await self.services.router.local(key, epoch)

    @property
    def root(self) -> str:
        """What our URLs begin with, seen from the page. Replicas of the releases before do not say."""
        return self.request.headers.get(ROOT_HEADER, self.services.settings.prefix + "/")


class RelayHandler(UpgradeHandler, OwnerHandler):
    """The owner's end of a relay. The upgrade is the answer that the session is here.

    Whoever dials may also ask for a session that nobody holds to be taken: for a page of our versions.
    """

    async def get(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._found: SessionSlot | AppError = await self.owned_slot()
            await make_ready(self._found, self._page, self.services)
        except AppError as error:
            self._found = error
        await super().get(*args, **kwargs)

    async def find(self, key: SessionKey, epoch: int) -> SessionSlot | None:
        if epoch == ADOPT_EPOCH:
            return await self.services.router.adopt(key, self._token_id)
        return await super().find(key, epoch)

    @property
    def _token_id(self) -> str:
        return self.request.headers.get(TOKEN_ID_HEADER, "")

    @property
    def _page(self) -> PageVersions | None:
        """None for Bokeh's clients, and when the other replica is of a release that does not say."""
        text = self.request.headers.get(PAGE_HEADER)
        return None if text is None else PageVersions.from_text(text)

    async def opened(self, websocket: Socket) -> None:
        if isinstance(self._found, AppError):
            answer_with_notice(
                app_failed(websocket, self._found, developing=self.services.developing), websocket
            )
            return
        await join_relayed(self._found, self._token_id, self._page, self.services, websocket)


async def join_relayed(
    slot: SessionSlot, token_id: str, page: PageVersions | None, services: Services, websocket: Socket
) -> None:
    """Let the session answer a page that came to another replica."""
    try:
        join(slot, websocket, token_id, page, services)
    except SessionMoved as error:
        websocket.close(error.close_code, str(error))


class OwnerPageHandler(OwnerHandler):
    """``POST``: the session's page around the token in the body."""

    async def post(self) -> None:
        session = await self.owned_session()
        token = self.request.body.decode()
        try:
            page = await render_page(session, self.services.resources, self.root, token)
        except SessionMoved as error:
            raise HTTPError(STATUS_NOT_OWNER, "the session is not here") from error
        self.finish(page)


class OwnerAutoloadHandler(OwnerHandler):
    """``POST``: the script that embeds the session, for what the body asks."""

    async def post(self) -> None:
        session = await self.owned_session()
        try:
            asked = json.loads(self.request.body)
            token = str(asked.pop("token"))
            wanted = Asked(**asked)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise HTTPError(400, f"this is no request for a script: {error!r}") from error
        self.finish(await script_of_session(session, self.services.resources, self.root, wanted, token))
