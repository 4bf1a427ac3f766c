"""Tokens of users, refreshed once for the whole fleet.

They lie in the store, by login: one user in one browser. Whoever finds that they are due, for a page or
beside everything else, asks the store for the right to refresh them; all others wait for what comes of it.
Replicas look for newer ones of the logins that have sessions there, and their sessions are told. A logout is
newer tokens, too, of which nothing is left: so a refresh that was under way meanwhile comes too late.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from service.apps.panel_login import ProviderAway, RefreshRefused
from service.background import spawn
from service.errors import Unavailable
from service.timings import TOKENS_LEASE_SECONDS
from store.contract import Store, UserTokens
from store.errors import StoreError

__all__ = ("UserTokenKeeper",)

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for newer tokens."""

WAIT_SECONDS = 0.1
"""Between two looks whether another replica has refreshed them."""

REFRESH_EARLY_SECONDS = 60.0
REFRESH_EARLY_SHARE = 1 / 3
"""Tokens are refreshed so long before they expire, as with Panel; short-lived ones in the last third."""

RETRY_SECONDS = 5.0
"""After which a provider that did not answer is asked again."""

MAX_AT_ONCE = 20
"""Users whose tokens one replica refreshes at the same time."""

LOGGED_OUT = UserTokens(refused=True)

Refresh = Callable[[UserTokens], Awaitable[UserTokens]]


class UserTokenKeeper:
    """While the store is away, tokens that have not expired are good.

    ``refresh`` asks the provider; it raises RefreshRefused or ProviderAway.
    ``lifetime``: seconds that a login lasts. ``clock``: wall-clock seconds on which all replicas agree.
    ``refreshes``: whether tokens are refreshed at all.
    """

    def __init__(
        self,
        store: Store,
        refresh: Refresh,
        *,
        lifetime: float,
        refreshes: bool,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._lifetime = lifetime
        self._refreshes = refreshes
        self._clock = clock
        self._known: dict[str, UserTokens] = {}
        self._refreshing: dict[str, asyncio.Task[UserTokens | None]] = {}
        self._not_before: dict[str, float] = {}
        self._limit = asyncio.Semaphore(MAX_AT_ONCE)
        self._changed: Callable[[str, UserTokens], None] = lambda login, tokens: None

    def tells(self, changed: Callable[[str, UserTokens], None]) -> None:
        """``changed(login, tokens)`` is called when others are right from now on."""
        self._changed = changed

    # -- logins --------------------------------------------------------------------------------

    async def began(self, login: str, tokens: UserTokens) -> None:
        """The user has just logged in. Raises StoreError."""
        number = await self._store.put_tokens(login, tokens, self._lifetime)
        self._know(login, replace(tokens, number=number))

    async def ended(self, login: str) -> None:
        """The user has logged out. Raises StoreError.

        Remembered for as long as the login would have lasted: a copy of its cookies is worth nothing.
        """
        await self.began(login, LOGGED_OUT)

    # -- asking for them -----------------------------------------------------------------------

    async def valid(self, login: str, brought: UserTokens | None = None) -> UserTokens | None:
        """The user's tokens, good for now; None where nobody has any, or none that are good.

        ``refused`` are those of a user who has to log in again. ``brought``: what the browser has; used where
        the store has nothing (any more). Raises StoreError, Unavailable when they have expired and the
        provider does not answer.
        """
        try:
            held = await self._newest(login, brought)
        except StoreError:
            held = self._known.get(login) or brought
            if held is None or held.refused or (self._refreshes and self._has_expired(held)):
                raise
            return held
        if held is None or held.refused or not self._refreshes:
            return held
        if self._is_due(held):
            held = await self._refreshed(login, held)
        if held is None or held.refused or not self._has_expired(held):
            return held
        if held.refresh_token:
            raise Unavailable("the login service does not answer")
        return None

    async def for_session(self, login: str) -> UserTokens | None:
        """As :meth:`valid`, of a session that is made in any case: the best there is."""
        try:
            found = await self.valid(login)
        except (StoreError, Unavailable) as error:
            log.warning("a session is made without knowing that its user's tokens are good: %s", error)
            return self._known.get(login)
        return found or self._known.get(login)

    async def _newest(self, login: str, brought: UserTokens | None) -> UserTokens | None:
        held = await self._held(login)
        if held is None and brought is not None:
            # Only where there are still none: a logout may have come meanwhile.
            await self._store.renew_tokens(
                login, secrets.token_hex(8), number=0, tokens=brought, ttl=self._lifetime
            )
            held = await self._held(login)
        return held

    async def _held(self, login: str) -> UserTokens | None:
        """The newest there are."""
        found, known = await self._store.tokens(login), self._known.get(login)
        if found is None or (known is not None and known.number > found.number):
            return known
        if known is None or known.number < found.number:
            self._know(login, found)
        return found

    def _know(self, login: str, tokens: UserTokens) -> None:
        known = self._known.get(login)
        if known is not None and known.number > tokens.number:
            return  # the user has logged out, or in again, while these were on their way
        self._known[login] = tokens
        if tokens.logged_out or not tokens.refused:
            self._changed(login, tokens)

    # -- refreshing ----------------------------------------------------------------------------

    def _is_due(self, tokens: UserTokens) -> bool:
        if tokens.expiry is None or not tokens.refresh_token or tokens.refused:
            return False
        early = min(REFRESH_EARLY_SECONDS, max(0.0, tokens.expiry - tokens.issued) * REFRESH_EARLY_SHARE)
        return self._clock() >= tokens.expiry - early

    def _has_expired(self, tokens: UserTokens) -> bool:
        return tokens.expiry is not None and self._clock() >= tokens.expiry

    async def _refreshed(self, login: str, held: UserTokens) -> UserTokens | None:
        """Newer ones, or ``held`` while the provider does not answer."""
        if self._not_before.get(login, 0.0) > self._clock():
            return held
        task = self._refreshing.get(login)
        if task is None:
            task = self._refreshing[login] = asyncio.ensure_future(self._refresh_once(login, held))
            task.add_done_callback(lambda _: self._refreshing.pop(login, None))
        try:
            return await asyncio.shield(task)
        except StoreError:
            if self._has_expired(held):
                raise
            return held

    async def _refresh_once(self, login: str, held: UserTokens) -> UserTokens | None:
        holder = secrets.token_hex(8)
        async with self._limit:
            newer = await self._leased(login, holder, held)
            if newer is not None:
                return newer
            try:
                fresh = await self._refresh(held)
            except RefreshRefused as error:
                log.info("the login service does not refresh a user's tokens: %s", error)
                fresh = replace(held, refused=True)
            except ProviderAway as error:
                log.warning("the login service does not answer: %s", error)
                self._not_before[login] = self._clock() + RETRY_SECONDS
                await self._store.renew_tokens(
                    login, holder, number=held.number, tokens=None, ttl=self._lifetime
                )
                return held
        await self._write(login, holder, held, fresh)
        return await self._held(login)

    async def _leased(self, login: str, holder: str, held: UserTokens) -> UserTokens | None:
        """None with the right to refresh them; else what another replica has made of them, or ``held``."""
        give_up = self._clock() + TOKENS_LEASE_SECONDS
        while True:
            lease = await self._store.lease_tokens(
                login, holder, number=held.number, ttl=TOKENS_LEASE_SECONDS
            )
            if lease.newer is not None:
                self._know(login, lease.newer)
                return lease.newer
            if lease.granted:
                return None
            if self._clock() > give_up:
                return held
            await asyncio.sleep(WAIT_SECONDS)

    async def _write(self, login: str, holder: str, held: UserTokens, fresh: UserTokens) -> None:
        """Until the store has them: nobody can refresh the old ones any more."""
        self._know(login, replace(fresh, number=held.number))
        give_up = self._clock() + TOKENS_LEASE_SECONDS
        while True:
            try:
                await self._store.renew_tokens(
                    login, holder, number=held.number, tokens=fresh, ttl=self._lifetime
                )
            except StoreError as error:
                if self._clock() > give_up:
                    raise
                log.warning("what the login service gave cannot be written yet: %s", error)
                await asyncio.sleep(WAIT_SECONDS)
            else:
                return

    # -- beside everything else ----------------------------------------------------------------

    async def run(self, logins: Callable[[], Collection[str]]) -> None:
        """Keep the tokens of ``logins()``, which have sessions here, fresh; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look(sorted(logins()))
            except StoreError as error:
                log.debug("not looking for newer tokens of logins: %s", error)

    async def _look(self, logins: list[str]) -> None:
        for login in self._known.keys() - set(logins):
            if login not in self._refreshing:
                del self._known[login]
        now = self._clock()
        self._not_before = {login: until for login, until in self._not_before.items() if until > now}
        if not logins:
            return
        for login, number in zip(logins, await self._store.token_numbers(logins), strict=True):
            known = self._known.get(login)
            if known is None or number > known.number:
                known = await self._held(login)
            if known is not None and self._refreshes and self._is_due(known):
                spawn(self._refresh_quietly(login, known))

    async def _refresh_quietly(self, login: str, known: UserTokens) -> None:
        try:
            await self._refreshed(login, known)
        except StoreError as error:
            log.warning("a user's tokens cannot be refreshed now: %s", error)
