"""Users' tokens in sessions: put in when one is made, wherever that is, and replaced when they are refreshed.

What a session is stored with has none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from service.apps.contexts import AppSessionContext
from service.fleet.user_tokens import UserTokenKeeper
from service.sessions.slot import Slot
from store.contract import PageRequest, UserTokens

__all__ = ("SessionTokens",)


class SessionTokens:
    """``cookies`` makes of a user's tokens what sessions have in the place of the browser's cookies."""

    def __init__(self, keeper: UserTokenKeeper, cookies: Callable[[UserTokens], Mapping[str, str]]) -> None:
        self._keeper = keeper
        self._cookies = cookies
        self._contexts: defaultdict[str, WeakSet[AppSessionContext]] = defaultdict(WeakSet)
        keeper.tells(self._changed)

    async def given_to(self, request: PageRequest) -> PageRequest:
        """The request as the session's code sees it, with tokens that are good for now."""
        if _user_of(request) is None:
            return request
        assert request.user is not None
        tokens = await self._keeper.for_session(request.user)
        if tokens is None:
            return request
        return replace(request, cookies={**request.cookies, **self._cookies(tokens)})

    def watch(self, context: AppSessionContext, request: PageRequest) -> None:
        """From here on the session sees newer ones. Right after :meth:`given_to`."""
        user = _user_of(request)
        if user is not None:
            self._contexts[user].add(context)

    def _changed(self, user: str, tokens: UserTokens) -> None:
        cookies = self._cookies(tokens)
        for context in list(self._contexts.get(user, ())):
            context.set_cookies(cookies)

    async def run(self, held: Callable[[], list[Slot[Any]]]) -> None:
        """Keep those fresh of the users of ``held()``, sessions that are live or asleep; until cancelled."""
        await self._keeper.run(lambda: self._users(held()))

    def _users(self, slots: list[Slot[Any]]) -> set[str]:
        users = {user for slot in slots if (user := _user_of(slot.request)) is not None}
        for user in [user for user, contexts in self._contexts.items() if not contexts and user not in users]:
            del self._contexts[user]
        return users


def _user_of(request: PageRequest) -> str | None:
    """None for guests, too."""
    return None if "is_guest" in request.cookies else request.user
