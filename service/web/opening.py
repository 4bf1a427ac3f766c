"""What page and autoload.js have in common: naming the session and minting its token."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tornado.web import HTTPError

from service import logs
from service.apps.app import App
from service.errors import Full
from service.tokens import new_token_id
from service.tracing import HEADER
from service.web.auth import EVERYBODY
from service.web.base import UserHandler
from service.web.requests import page_request
from service.web.services import Services
from store.contract import PageRequest, SessionKey

__all__ = ("AppHandler", "PageView")


@dataclass(frozen=True, slots=True)
class PageView:
    """One view of one page: its session, the token its socket will show, and its request."""

    key: SessionKey
    token: str
    token_id: str
    request: PageRequest


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
        lifetime = self.services.settings.session_token_expiration
        token = tokens.mint(
            key.app, key.session_id, lifetime=lifetime, now=time.time(), token_id=token_id, user=self.user
        )
        payload = await self.app.process_request(self.request)
        request = page_request(self.request, self.services.settings, payload, self.user)
        request = replace(request, trace=self.services.tracing.here())
        return PageView(key, token, token_id, request)

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
