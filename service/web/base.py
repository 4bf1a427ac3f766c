"""What all handlers share: the services, error pages, and refusing work before the server is ready."""

from __future__ import annotations

import asyncio
import html
import logging
import random
from typing import Any

from tornado.web import HTTPError

from service.errors import AppError, ServiceError, Unavailable
from service.web.accepting import out_of_files
from service.web.auth import SecureCookies, user_name
from service.web.services import Services
from service.web.urls import relative_root
from store.errors import StoreError, StoreUnavailable

__all__ = ("BaseHandler", "UserHandler", "failure_of", "log_failure", "plain_page")

log = logging.getLogger(__name__)


STARTUP_WAIT_SECONDS = 1.0
"""Seconds a request waits for a server that listens already but is not ready yet."""


DEV_RETRY_SECONDS = 1
"""After which a page of an app that fails is asked for again, with ``--dev``: its author is mending it."""


class BaseHandler(SecureCookies):
    """A handler with the server's parts at ``self.services``."""

    services: Services
    user: str | None = None
    """Who makes the request, where :class:`UserHandler` has found out."""
    login: str = ""
    """The user's login, if there are tokens with it."""

    def initialize(self, services: Services) -> None:
        self.services = services

    @property
    def relative_root(self) -> str:
        """From this request's path to what all our URLs begin with; ends with a slash."""
        return relative_root(self.request.path, self.services.settings.prefix)

    async def prepare(self) -> None:
        if not self.services.ready:
            await self._wait_for_start()
        if self.services.closed:
            raise Unavailable("the server is stopping")

    async def _wait_for_start(self) -> None:
        try:
            async with asyncio.timeout(STARTUP_WAIT_SECONDS):
                await self.services.started.wait()
        except TimeoutError:
            raise Unavailable("the server is starting or waits for its store") from None

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if value is not None:
            log_failure(self.request.method, self.request.path, value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        failure = failure_of(error)
        retry = None
        if failure is not None:
            self.set_status(failure.http_status, failure.http_reason)
            if isinstance(failure, Unavailable):
                # Spread the return of those who were turned away together.
                retry = failure.retry_after + random.randint(0, failure.spread)
                self.set_header("Retry-After", retry)
        if isinstance(error, AppError) and self.services.developing:
            retry = DEV_RETRY_SECONDS
        self.set_header("Cache-Control", "no-store")
        self.finish(self.error_page(error, self.explain(error, failure), retry))

    def error_page(self, error: BaseException | None, text: str, retry: int | None) -> str:
        """What is shown for ``error``; the page loads again after ``retry`` seconds."""
        return plain_page(self._reason, text, retry=retry)

    def explain(self, error: BaseException | None, failure: ServiceError | None) -> str:
        """The text of an error page."""
        if isinstance(error, HTTPError) and error.log_message:
            return error.log_message
        return str(failure) if failure is not None else ""


class UserHandler(BaseHandler):
    """A handler for users who are known, if there is an auth module that knows them."""

    async def prepare(self) -> None:
        await super().prepare()
        auth = self.services.auth
        if auth.asks:
            self.current_user = await auth.user(self)
            self.user = user_name(self.current_user)
            self.login = auth.login(self)
            if self.user is None and auth.requires_login:
                await self.turn_away()

    @property
    def users(self) -> tuple[str | None, ...]:
        """Whose pages this request may go on with."""
        return self.services.auth.users(self, self.user)

    def keep_for_its_browser(self) -> None:
        """What has a token in it: for the way back in its browser's history, which asks nobody.

        Every other visit asks, and begins a session of its own. With ``no-store`` the way back would, too,
        as it does where the cookies of somebody who logs in are others by then.
        """
        self.set_header("Cache-Control", "private, no-cache")
        if self.services.auth.asks:
            self.set_header("Vary", "Cookie")

    async def turn_away(self) -> None:
        """Answer somebody who is not logged in."""
        if self.request.method not in ("GET", "HEAD"):
            raise HTTPError(403, "log in first")
        location = await self.services.auth.login_location(self, self.relative_root)
        if not location:
            raise HTTPError(401, "log in first")
        self.redirect(location)


def log_failure(method: str | None, path: str, error: BaseException) -> None:
    """Expected failures are one line; only bugs get a traceback."""
    if isinstance(error, ServiceError | StoreError) or out_of_files(error):
        log.warning("%s %s: %s", method, path, error)
    elif not isinstance(error, HTTPError):
        log.error("%s %s failed", method, path, exc_info=error)


def failure_of(error: BaseException | None) -> ServiceError | None:
    """The :class:`ServiceError` a client is told about ``error``, if it is one for clients."""
    if isinstance(error, ServiceError):
        return error
    if out_of_files(error):
        return Unavailable("the server has too many connections right now")
    if isinstance(error, StoreUnavailable):
        return Unavailable("the session store does not answer")
    return None


def plain_page(title: str, text: str, *, retry: int | None = None) -> str:
    """A page without scripts or styles from elsewhere; it loads again after ``retry`` seconds."""
    again = "" if retry is None else f"<meta http-equiv='refresh' content='{retry}'>"
    if retry is not None:
        text += f"\n\nThis page tries again by itself in {retry} seconds."
    title, text = html.escape(title), html.escape(text)
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"{again}<title>{title}</title></head>"
        "<body style='font-family: sans-serif; max-width: 50em; margin: 3em auto; padding: 0 1em'>"
        f"<h1>{title}</h1><pre style='white-space: pre-wrap'>{text}</pre></body></html>\n"
    )
