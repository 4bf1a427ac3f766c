"""What page and autoload.js have in common: naming the session and minting its token."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tornado.web import HTTPError

from service import logs
from service.apps.app import App
from service.errors import AppFull, Full, TokenExpired, TooManySessions, Unavailable
from service.page_versions import PageVersions
from service.tokens import VerifiedToken, new_token_id
from service.tracing import HEADER
from service.web.admin_login import has_logged_in
from service.web.auth import EVERYBODY
from service.web.base import UserHandler
from service.web.maintenance import check_maintenance
from service.web.requests import page_request, request_from_payload
from service.web.services import Services
from service.web.urls import below_prefix
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
    below_app = ""
    """What of the request's path comes after the app's."""

    def initialize(self, services: Services, app: App) -> None:  # type: ignore[override]
        super().initialize(services)
        self.app = app

    async def prepare(self) -> None:
        await super().prepare()
        # Panel's own hook for requests (1.9 and 1.10) looks for them here.
        vars(self.request).update(app_path=self.app_path, route_params=self.route_params)
        if self.app.for_operators and not self._finished:
            self._admit_operators()

    @property
    def app_path(self) -> str:
        """The app's own path as the browser wrote it: below the prefix, without what follows it."""
        below = below_prefix(self.request.path, self.services.settings.prefix)
        return below.removesuffix(self.below_app).rstrip("/") or "/"

    @property
    def route_params(self) -> dict[str, str]:
        """What the groups of the app's pattern matched, as Panel names them."""
        values = {**{str(number): value for number, value in enumerate(self.path_args)}, **self.path_kwargs}
        return {name: value for name, value in values.items() if value is not None}

    def placed(self, request: PageRequest) -> PageRequest:
        """The request with what is not plain from the app's path and its own."""
        path = self.app_path
        return replace(
            request, app_path="" if path == self.app.path else path, route_params=self.route_params
        )

    def _admit_operators(self) -> None:
        """Refuse everybody else; and no page of somebody else's may show ours in a frame."""
        settings = self.services.settings
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Content-Security-Policy", "frame-ancestors 'none'")
        if settings.admin_user and not {EVERYBODY, self.user} & set(settings.admin_user):
            raise HTTPError(403, "This page is for operators only.")
        if settings.admin_password is not None and not has_logged_in(self, settings.admin_password):
            if self.below_app:
                raise HTTPError(403, "log in first")
            self.redirect(f"{self.relative_root}{settings.admin_endpoint[1:]}/login")

    def span(self, name: str) -> AbstractContextManager[None]:
        """Around answering a page request; a proxy's span is its parent."""
        parent = self.request.headers.get(HEADER, "")
        return self.services.tracing.span(name, parent=parent, kind="server", app=self.app.path)

    async def view(self) -> PageView:
        """Name the session and mint its token. Raises TokenError, HTTPError, Unavailable, StoreError."""
        given = self._given_token()
        requested = self._requested_session_id() if given is None else given.session_id
        key = SessionKey(self.app.path, requested or self.services.tokens.new_session_id())
        logs.bind_log_context(**key.facts)
        if not self.app.for_operators:
            await check_maintenance(self.services, key, named=requested is not None)
            if requested is None:
                self._check_room()
        token_id = new_token_id()
        token = self.mint(key, token_id, self.page_versions)
        request = None if given is None else await self.request_of(given)
        if request is None:
            attempt = self.services.timeouts.of_request(self.app.path)
            payload = await self.app.process_request(self.request, attempt)
            request = page_request(self.request, self.services.settings, payload, self.user, self.login)
        request = replace(self.placed(request), trace=self.services.tracing.here())
        return PageView(key, token, token_id, request, requested is not None)

    async def request_of(self, token: VerifiedToken) -> PageRequest | None:
        """What a session is begun with that ``token`` names: what it carries, or what was left for it."""
        if token.minted_by_us:
            key = SessionKey(self.app.path, token.session_id)
            return await self.services.store.handoff(key, token.token_id)
        return request_from_payload(
            self.request, self.services.settings, token.payload or {}, self.user, self.login
        )

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
        """Turn a new visitor away while this replica or the app here is full, or its user has enough pages.

        Only here: who has a page already is let in, because BokehJS does not try again when its
        first connection is refused.
        """
        try:
            self._check_limits()
        except Unavailable:
            self.services.metrics.app(self.app.path).shed.inc()
            raise

    def _check_limits(self) -> None:
        settings, registry = self.services.settings, self.services.registry
        limit = settings.max_sessions
        if limit and registry.count_visitors() >= limit:
            raise Full("There are more visitors than seats here right now.", retry_after=3)
        limit = settings.max_sessions_of(self.app.path)
        if limit and registry.count_live(self.app.path) >= limit:
            raise AppFull("This app has more visitors than seats right now.", retry_after=3)
        most = settings.max_sessions_per_user
        if most and self.user is not None and registry.count_open(self.user) >= most:
            raise TooManySessions(
                f"You have {most} pages open already. Once one is closed, this one comes by itself.",
                retry_after=3,
            )

    async def hand_off(self, view: PageView) -> None:
        """Leave the request in the store for the socket, wherever it will land."""
        lifetime = self.services.settings.session_token_expiration
        with self.services.tracing.span("handoff", session=view.key.short):
            await self.services.store.put_handoff(view.key, view.token_id, view.request, lifetime)

    def _given_token(self) -> VerifiedToken | None:
        """The ``bokeh-token`` argument, checked, in the place of a session id."""
        text = self.get_argument("bokeh-token", None)
        if text is None:
            return None
        names_id = self.get_argument("bokeh-session-id", None) is not None
        if names_id or "Bokeh-Session-Id" in self.request.headers:
            raise HTTPError(403, "both a token and a session id are given")
        token = self.services.tokens.verify(text, self.app.path)
        self.services.tokens.check_user(token, *self.users)
        if token.expired(time.time()):
            raise TokenExpired("the token has expired; see --session-token-expiration")
        return token

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
