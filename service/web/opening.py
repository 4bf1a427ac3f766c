"""What page and autoload.js have in common: naming the session and minting its token."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tornado.web import HTTPError

from service import logs
from service.apps.app import App
from service.errors import Full
from service.page_versions import PageVersions
from service.tokens import new_token_id
from service.tracing import HEADER
from service.web.auth import EVERYBODY
from service.web.base import UserHandler
from service.web.requests import page_request
from service.web.services import Services
from store.contract import Heartbeat, PageRequest, SessionKey
from store.errors import StoreError

__all__ = ("AppHandler", "PageView")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageView:
    """One view of one page: its session, the token its socket will show, and its request."""

    key: SessionKey
    token: str
    """For a page that is made here."""
    token_id: str
    request: PageRequest
    requested: bool
    """Whether the browser named the session."""


class AppHandler(UserHandler):
    """A handler under an app's URL path."""

    app: App

    def initialize(self, services: Services, app: App) -> None:  # type: ignore[override]
        super().initialize(services)
        self.app = app

    async def prepare(self) -> None:
        await super().prepare()
        if self.app.for_operators and not self._finished:
            self._admit_operators()

    def _admit_operators(self) -> None:
        """Refuse everybody else; and no page of somebody else's may show ours in a frame."""
        if not {EVERYBODY, self.user} & set(self.services.settings.admin_user):
            raise HTTPError(403, "This page is for operators only.")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Content-Security-Policy", "frame-ancestors 'none'")

    def span(self, name: str) -> AbstractContextManager[None]:
        """Around answering a page request; a proxy's span is its parent."""
        parent = self.request.headers.get(HEADER, "")
        return self.services.tracing.span(name, parent=parent, kind="server", app=self.app.path)

    async def view(self) -> PageView:
        """Name the session and mint its token. Raises TokenInvalid, HTTPError, Full."""
        tokens = self.services.tokens
        requested = self._requested_session_id()
        if requested is None and not self.app.for_operators:
            self._check_room()
        key = SessionKey(self.app.path, requested or tokens.new_session_id())
        logs.speaking_of(**key.facts)
        token_id = new_token_id()
        token = self.mint(key, token_id, self.page_versions)
        payload = await self.app.process_request(self.request)
        request = page_request(self.request, self.services.settings, payload, self.user)
        request = replace(request, trace=self.services.tracing.here())
        return PageView(key, token, token_id, request, requested is not None)

    @property
    def page_versions(self) -> PageVersions:
        """What the page is made with if it is made here."""
        return self.services.versions

    def mint(self, key: SessionKey, token_id: str, page: PageVersions | None) -> str:
        """A token for a page made with ``page``; None for a replica of a release that does not say."""
        lifetime = self.services.settings.session_token_expiration
        return self.services.tokens.mint(
            key.app,
            key.session_id,
            lifetime=lifetime,
            now=time.time(),
            token_id=token_id,
            user=self.user,
            page=page,
        )

    def token_of_owner(self, view: PageView, owner: Heartbeat) -> str:
        """A token for a page that the session's owner makes."""
        page = PageVersions.of(owner.versions) if owner.versions else None
        if page is not None:
            page = replace(page, embedded=self.page_versions.embedded)
        return self.mint(view.key, view.token_id, page)

    async def holder_of_other_versions(self, view: PageView) -> tuple[Heartbeat, int] | None:
        """Who holds the session that the browser named, if a page of ours would not fit it."""
        if not view.requested:
            return None
        try:
            return await self.services.router.holder_of_other_versions(view.key)
        except StoreError as error:
            log.debug("the page is made here: %s", error)
            return None

    def _check_room(self) -> None:
        """Turn a new visitor away while this replica is full.

        Only here: who has a page already is let in, because BokehJS does not try again when its
        first connection is refused.
        """
        limit = self.services.settings.max_sessions
        if limit and self.services.registry.count_visitors() >= limit:
            self.services.metrics.app(self.app.path).shed.inc()
            raise Full("There are more visitors than seats here right now.", retry_after=3)

    async def hand_off(self, view: PageView) -> None:
        """Leave the request in the store for the socket, wherever it will land."""
        lifetime = self.services.settings.session_token_expiration
        with self.services.tracing.span("handoff", session=view.key.short):
            await self.services.store.put_handoff(view.key, view.token_id, view.request, lifetime)

    def _requested_session_id(self) -> str | None:
        """A session id from outside, checked, as argument or header (``server_session``)."""
        argument = self.get_argument("bokeh-session-id", None)
        header = self.request.headers.get("Bokeh-Session-Id")
        if argument is not None and header is not None:
            raise HTTPError(403, "the session id is given both as an argument and as a header")
        session_id = argument if argument is not None else header
        if session_id is not None:
            self.services.tokens.check_session_id(session_id)
        return session_id
