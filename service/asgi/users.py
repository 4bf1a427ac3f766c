"""Who the user is, as the program around us knows."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tornado.web import RequestHandler

from service.asgi.events import Scope
from service.web.auth import Auth, with_way_back

__all__ = ("HostAuth", "UserOf", "name_of")

UserOf: TypeAlias = Callable[[Scope], Any | Awaitable[Any]]
"""Finds the user of a request in its scope; something false if there is none."""


@dataclass(frozen=True, slots=True)
class HostAuth(Auth):
    """Asks ``user_of``, and admits nobody else. Without it: whoever the host's own middleware found.

    That one has admitted the request already, so strangers are let in: they have no name.
    """

    user_of: UserOf | None = None
    login_at: str | None = None
    """The URL where strangers are sent, with where they wanted to go as ``next``; they get 401 without."""

    def __post_init__(self) -> None:
        """None of the rules for auth modules is about this."""

    @property
    def asks(self) -> bool:
        return True

    @property
    def requires_login(self) -> bool:
        return self.user_of is not None

    async def user(self, handler: RequestHandler) -> Any:
        scope: Scope = vars(handler.request)["scope"]
        if self.user_of is None:
            return name_of(scope.get("user"))
        found = self.user_of(scope)
        return name_of(await found if inspect.isawaitable(found) else found)

    async def login_location(self, handler: RequestHandler, root: str) -> str | None:
        return self.login_at and with_way_back(self.login_at, handler)

    def logout_path(self, prefix: str) -> str | None:
        return None


def name_of(user: Any) -> Any:
    """A user of Starlette's or Django's as text; what else users are made of stays as it is."""
    if user is None or not hasattr(user, "is_authenticated"):
        return user
    if not user.is_authenticated:
        return None
    if hasattr(user, "get_username"):
        return user.get_username()
    try:
        return user.identity
    except (AttributeError, NotImplementedError):  # Starlette's SimpleUser has a name alone
        return user.display_name
