"""Who the user is: what an auth module says, and what handlers do with it.

The module's names are those of ``bokeh serve --auth-module`` (``bokeh/server/auth_provider.py``):
``get_user`` or ``get_user_async``, ``login_url`` or ``get_login_url``, ``LoginHandler``,
``logout_url``, ``LogoutHandler``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode, urlsplit

from tornado.web import RequestHandler

from service.errors import ConfigError

__all__ = ("EVERYBODY", "Auth", "SecureCookies", "load_auth", "user_name", "with_way_back")

EVERYBODY = "*"
"""Of ``--admin-user``: whoever comes."""

_MODULE_NAME = "svc_auth_module"


@dataclass(frozen=True, slots=True)
class Auth:
    """What the auth module offers; nothing at all when there is none. Raises ValueError."""

    get_user: Callable[[RequestHandler], Any] | None = None
    get_user_async: Callable[[RequestHandler], Awaitable[Any]] | None = None
    login_url: str | None = None
    get_login_url: Callable[[RequestHandler], str] | None = None
    LoginHandler: type[RequestHandler] | None = None
    logout_url: str | None = None
    LogoutHandler: type[RequestHandler] | None = None

    def __post_init__(self) -> None:
        for wrong, reason in _contradictions(self):
            if wrong:
                raise ValueError(reason)

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask about users."""
        return self.get_user is not None or self.get_user_async is not None

    @property
    def requires_login(self) -> bool:
        """Whether somebody who is no user is turned away."""
        return True

    def endpoints(self) -> list[tuple[str, type[RequestHandler]]]:
        """The module's own pages, by path below the prefix."""
        pages = ((self.login_url, self.LoginHandler), (self.logout_url, self.LogoutHandler))
        return [
            ("/" + path.strip("/"), type(handler.__name__, (SecureCookies, handler), {}))
            for path, handler in pages
            if path and handler
        ]

    def logout_path(self, prefix: str) -> str | None:
        """``session_context.logout_url``."""
        return None if self.logout_url is None else f"{prefix}/{self.logout_url.lstrip('/')}"

    async def user(self, handler: RequestHandler) -> Any:
        """The user behind this request, something false if there is none."""
        if self.get_user_async is not None:
            return await self.get_user_async(handler)
        return self.get_user(handler) if self.get_user is not None else None

    def login(self, handler: RequestHandler) -> str:
        """Names the login that the user's tokens belong to; empty for none. After :meth:`user`."""
        return ""

    def users(self, handler: RequestHandler, user: str | None) -> tuple[str | None, ...]:
        """Whose pages the request of ``user`` may go on with."""
        return (user,)

    def check_admin(self, names: Collection[str], *, password: bool, logins: bool = False) -> None:
        """Raise ConfigError unless it is clear who sees the admin page: ``names``, or with a password.

        With ``logins`` somebody else knows who the users are.
        """
        if EVERYBODY in names or (password and not names):
            return
        if not names:
            raise ConfigError(
                "--admin shows everybody's sessions and can end them: say with --admin-user who may, or with "
                "--admin-password what they have to know (--admin-user '*' lets in everybody)"
            )
        if not (self.asks or logins):
            raise ConfigError("--admin-user needs --auth-module or a login, which know who the users are")

    async def login_location(self, handler: RequestHandler, root: str) -> str | None:
        """Where to send somebody who has to log in, with the way back in ``next``; None for nowhere.

        ``root`` is what our URLs begin with, seen from the request.
        """
        if self.get_login_url is not None:
            url = self.get_login_url(handler)
        else:
            url = root + (self.login_url or "").lstrip("/")
        return url and with_way_back(url, handler)


class SecureCookies(RequestHandler):
    """Cookies are ``HttpOnly``, ``SameSite=Lax`` and, over https, ``Secure``, unless asked otherwise."""

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        given = {key.lower() for key in kwargs}
        if "samesite" not in given:
            kwargs["samesite"] = "Lax"
        if "secure" not in given and self.request.protocol == "https":
            kwargs["secure"] = True
        if "httponly" not in given and name != "_xsrf":  # scripts have to read that one
            kwargs["httponly"] = True
        super().set_cookie(name, value, *args, **kwargs)


def load_auth(path: str | None) -> Auth:
    """The auth module at ``path``, in one piece. Raises ConfigError."""
    if path is None:
        return Auth()
    try:
        module = _load(Path(path).resolve())
        return Auth(**{field.name: getattr(module, field.name, None) for field in fields(Auth)})
    except Exception as error:
        # Whatever the module raises, it is the module that cannot be used.
        raise ConfigError(f"--auth-module {path}: {type(error).__name__}: {error}") from error


def with_way_back(url: str, handler: RequestHandler) -> str:
    """The URL with where the user wanted to go in ``next``, unless it has arguments of its own."""
    if "?" in url:
        return url
    here = handler.request.full_url() if urlsplit(url).scheme else handler.request.uri
    return f"{url}?{urlencode({'next': here})}"


def user_name(user: Any) -> str | None:
    """One text for one user, whatever the auth module's users are made of."""
    match user:
        case None | False | "" | b"":
            return None
        case bytes():
            return user.decode("utf-8", "backslashreplace")
        case str():
            return user
    return json.dumps(user, sort_keys=True, default=str)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ValueError("it is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE_NAME] = module
    spec.loader.exec_module(module)
    return module


def _contradictions(auth: Auth) -> list[tuple[bool, str]]:
    """As ``AuthProvider._validate`` of bokeh 3.9, and some that it forgets."""
    return [
        (bool(auth.get_user and auth.get_user_async), "give get_user or get_user_async, not both"),
        (
            auth.asks and not (auth.login_url or auth.get_login_url),
            "get_user needs a login_url or a get_login_url",
        ),
        (bool(auth.login_url and auth.get_login_url), "give login_url or get_login_url, not both"),
        (bool(auth.LoginHandler and auth.get_login_url), "LoginHandler works with login_url only"),
        (bool(auth.LoginHandler and not auth.login_url), "LoginHandler needs a login_url"),
        (bool(auth.LogoutHandler and not auth.logout_url), "LogoutHandler needs a logout_url"),
        (not _is_handler(auth.LoginHandler), "LoginHandler must be a Tornado RequestHandler"),
        (not _is_handler(auth.LogoutHandler), "LogoutHandler must be a Tornado RequestHandler"),
        (not _is_relative(auth.login_url), "login_url must be relative; get_login_url may lead anywhere"),
        (not _is_relative(auth.logout_url), "logout_url must be relative"),
    ]


def _is_handler(found: Any) -> bool:
    return found is None or (isinstance(found, type) and issubclass(found, RequestHandler))


def _is_relative(url: str | None) -> bool:
    return url is None or not url.startswith(("http://", "https://", "//"))
