"""Users' tokens in sessions: put in when one is made, wherever that is, replaced when they are refreshed, and
taken away when the user logs out.

What a session is stored with has none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from service.apps.contexts import AppSessionContext
from service.apps.panel_login import TOKEN_COOKIES
from service.fleet.user_tokens import UserTokenKeeper
from service.sessions.page_message import logged_out
from service.sessions.slot import Slot
from store.contract import PageRequest, UserTokens

__all__ = ("SessionTokens",)


class SessionTokens:
    """``cookies`` makes of a user's tokens what sessions have in the place of the browser's cookies."""

    def __init__(self, keeper: UserTokenKeeper, cookies: Callable[[UserTokens], Mapping[str, str]]) -> None:
        self._keeper = keeper
        self._cookies = cookies
        self._contexts: defaultdict[str, WeakSet[AppSessionContext]] = defaultdict(WeakSet)
        self._held: Callable[[], list[Slot[Any]]] = list
        keeper.tells(self._changed)

    async def given_to(self, request: PageRequest) -> PageRequest:
        """The request as the session's code sees it, with tokens that are good for now."""
        if not request.login:
            return request
        tokens = await self._keeper.for_session(request.login)
        if tokens is None:
            return request
        return replace(request, cookies={**request.cookies, **self._cookies(tokens)})

    def watch(self, context: AppSessionContext, request: PageRequest) -> None:
        """From here on the session sees newer ones. Right after :meth:`given_to`."""
        if request.login:
            self._contexts[request.login].add(context)

    def _changed(self, login: str, tokens: UserTokens) -> None:
        cookies = self._cookies(tokens)
        for context in list(self._contexts.get(login, ())):
            others = {name: value for name, value in context.cookies.items() if name not in TOKEN_COOKIES}
            context.set_cookies({**others, **cookies})
        if tokens.logged_out:
            self._tell_pages(login)

    def _tell_pages(self, login: str) -> None:
        """Also those of sessions that sleep."""
        for slot in self._held():
            if slot.request.login == login:
                for client in list(slot.connections):
                    client.show(logged_out())

    async def run(self, held: Callable[[], list[Slot[Any]]]) -> None:
        """Keep those fresh of the logins of ``held()``, sessions that are live or asleep; until cancelled."""
        self._held = held
        await self._keeper.run(lambda: self._logins(held()))

    def _logins(self, slots: list[Slot[Any]]) -> set[str]:
        logins = {slot.request.login for slot in slots} - {""}
        for login in [each for each, contexts in self._contexts.items() if not (contexts or each in logins)]:
            del self._contexts[login]
        return logins
