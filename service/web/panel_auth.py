"""``--basic-auth`` and ``--oauth-provider``: Panel's logins (1.9 and 1.10), on any replica."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from service.apps.panel_login import LoginHooks, PanelLogin
from service.errors import ServiceError, Unavailable
from service.fleet.user_tokens import UserTokenKeeper
from service.settings import WebSettings
from service.web.auth import Auth, SecureCookies
from service.web.base import plain_page
from service.web.urls import below_prefix, relative_root

__all__ = ("PanelAuth", "panel_auth")

log = logging.getLogger(__name__)

GUEST = "guest"
"""Panel's name for them all."""

_ANSWERS = ("code", "state", "error", "error_description")
"""Arguments with which a provider sends a browser back."""

_MARKUP = re.compile(rb"""[<>&"'\\\x00-\x1f\x7f-\xff]""")

_POST_FORM = re.compile(r"""<form\b[^>]*\bmethod=["']?post\b[^>]*>""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PanelAuth(Auth):
    """Who somebody is says Panel's signed cookie; what they may do elsewhere, their tokens."""

    panel: Any = None
    keeper: Any = None
    """None where the provider gives no tokens."""
    settings: Any = None

    @property
    def asks(self) -> bool:
        return True

    def endpoints(self) -> list[tuple[str, type[RequestHandler]]]:
        pages = ((self.login_url, self.LoginHandler), (self.logout_url, self.LogoutHandler))
        names = {"prefix": self.settings.prefix, "login": self.panel, "login_endpoint": self.login_url}
        found = ((path, page) for path, page in pages if path and page)
        return [(path, type(page.__name__, (PanelPage, page), names)) for path, page in found]

    async def user(self, handler: RequestHandler) -> str | None:
        """Raises StoreError, Unavailable."""
        if self.panel.is_way_back(handler):
            return None  # to the login page, also who has logged in meanwhile: it is to lead elsewhere
        user = await self._known(handler)
        if user is not None:
            handler.request.cookies.pop("is_guest", None)  # for Panel that counts more
        elif self._lets_in_guests(handler):
            user, cookies = GUEST, SimpleCookie({"is_guest": "1"})
            handler.request.cookies.update(cookies)
        return user

    async def _known(self, handler: RequestHandler) -> str | None:
        user: str | None = self.panel.user_of(handler)
        if user is None or self.keeper is None:
            return user
        login, brought = self.panel.login_of(handler), self.panel.tokens_of(handler)
        tokens = await self.keeper.valid(login, brought) if login else None
        if tokens is None:
            return None if self.settings.oauth_refresh_tokens else user
        if tokens.refused:
            return None
        if tokens != brought and not isinstance(handler, WebSocketHandler) and _differ(tokens, brought):
            self.panel.give(handler, tokens)
        return user

    def login(self, handler: RequestHandler) -> str:
        if self.keeper is None or "is_guest" in handler.request.cookies:
            return ""
        return str(self.panel.login_of(handler))

    def users(self, handler: RequestHandler, user: str | None) -> tuple[str | None, ...]:
        """Who has logged in since goes on with what the same browser shows a guest, as a guest."""
        return (user, GUEST) if self._lets_in_guests(handler) else (user,)

    def _lets_in_guests(self, handler: RequestHandler) -> bool:
        request = handler.request
        if self.settings.oauth_optional:
            return True
        paths = {request.path, below_prefix(request.path, self.settings.prefix)}
        return any(paths & _pages_of(path) for path in self.settings.oauth_guest_endpoints)


def panel_auth(settings: WebSettings, login: PanelLogin, keeper: UserTokenKeeper | None) -> PanelAuth:
    """Raises ConfigError."""
    hooks = None if keeper is None else LoginHooks(keeper.began, keeper.ended)
    return PanelAuth(
        login_url=settings.login_endpoint,
        logout_url=settings.logout_endpoint,
        LoginHandler=login.login_handler(hooks),
        LogoutHandler=login.logout_handler(hooks),
        panel=login,
        keeper=keeper,
        settings=settings,
    )


class PanelPage(SecureCookies):
    """What is added to Panel's pages: they lead nowhere else, and hold behind any proxy."""

    prefix: str
    login: Any
    login_endpoint: str

    async def prepare(self) -> None:
        if not self.application.settings.get("cookie_secret"):
            raise HTTPError(503, "the server is starting")
        _take_answer(self.request)
        _clean(self.request)
        for wanted in self.get_query_arguments("next"):
            if not stays_here(wanted):
                raise HTTPError(400, "next has to be a path of this server")
        kept = self.get_cookie("next_url")
        if kept is not None and not stays_here(kept):
            del self.request.cookies["next_url"]

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, ServiceError):
            log.warning("%s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Panel's pages are of logins that failed: what is our failure has one that says so."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        if not isinstance(error, ServiceError):
            super().write_error(status_code, **kwargs)
            return
        self.set_status(error.http_status)
        if isinstance(error, Unavailable):
            self.set_header("Retry-After", error.retry_after)
        self.set_header("Cache-Control", "no-store")
        self.finish(plain_page(self._reason, str(error)))

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None:
        super().redirect(self._from_here(url) if stays_here(url) else url, permanent, status)

    def _from_here(self, url: str) -> str:
        """A path of ours as a browser finds it from this page."""
        root = relative_root(self.request.path, self.prefix)
        if url == "/":
            return root
        below = below_prefix(url, self.prefix)
        within = not self.prefix or below != url or url.startswith(f"{self.prefix}?")
        return root + url.removeprefix(self.prefix).removeprefix("/") if within else url

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        super().write(self._own(chunk) if isinstance(chunk, str) else chunk)

    def _own(self, page: str) -> str:
        root = relative_root(self.request.path, self.prefix)
        login = self.login_endpoint
        page = page.replace(f'action=".{login}"', f'action="{root}{login.removeprefix("/")}"')
        if self.application.settings.get("xsrf_cookies"):
            page = _POST_FORM.sub(lambda form: form[0] + self.xsrf_form_html(), page)
        return str(self.login.own_files(page, root))


def stays_here(url: str) -> bool:
    """Whether it is a path of this server, however a browser reads it.

    They take a backslash for a slash, leave control characters out, and take any number of slashes at the
    beginning for that of a host's name.
    """
    return url.startswith("/") and not url.startswith("//") and url.isprintable() and "\\" not in url


def _take_answer(request: Any) -> None:
    """A provider's answer that came to another page, which sent it here as the way back (``next``)."""
    for wanted in request.query_arguments.get("next", ()):
        answer = parse_qs(urlsplit(wanted.decode("utf-8", "replace")).query)
        if "state" not in answer or not answer.keys() & {"code", "error"}:
            continue
        for name in _ANSWERS:
            if name in answer and name not in request.arguments:
                values = [value.encode() for value in answer[name]]
                request.arguments[name] = request.query_arguments[name] = values


def _clean(request: Any) -> None:
    """What is said of a failure is shown on pages of which not all (1.9) escape it."""
    for name in ("error", "error_description"):
        for arguments in (request.arguments, request.query_arguments):
            if name in arguments:
                arguments[name] = [_MARKUP.sub(b" ", value) for value in arguments[name]]


def _pages_of(path: str) -> set[str]:
    base = "/" + path.strip("/") if path.strip("/") else ""
    return {base or "/", *(base + below for below in ("/", "/ws", "/autoload.js", "/metadata"))}


def _differ(tokens: Any, brought: Any) -> bool:
    names = ("access_token", "refresh_token", "id_token")
    return brought is None or any(getattr(tokens, name) != getattr(brought, name) for name in names)
