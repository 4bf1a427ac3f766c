"""Users' tokens between replicas: who refreshes them, who waits, and what others get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from service.apps.panel_login import ProviderAway, RefreshRefused
from service.errors import Unavailable
from service.fleet import user_tokens
from service.fleet.user_tokens import UserTokenKeeper
from store.connect import open_store
from store.contract import UserTokens
from store.errors import StoreUnavailable
from store.redis_store import RedisStore


@dataclass
class Provider:
    """Gives tokens that are good for `lifetime` seconds, each refresh token once."""

    now: float = 1000.0
    lifetime: float = 300.0
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """It does not, until this is set."""

    def __post_init__(self) -> None:
        self.answers.set()

    def tokens(self, number: int) -> UserTokens:
        name = f"{number}"
        return UserTokens(
            access_token=name,
            refresh_token=name,
            id_token="ada",
            issued=self.now,
            expiry=self.now + self.lifetime,
        )

    async def refresh(self, tokens: UserTokens) -> UserTokens:
        self.asked.append(tokens.refresh_token)
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        assert self.asked.count(tokens.refresh_token) == 1
        return self.tokens(int(tokens.refresh_token) + 1)


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = open_store(None)
    yield opened
    await opened.close()


@pytest.fixture
def provider() -> Provider:
    return Provider()


Replica = Callable[..., UserTokenKeeper]


@pytest.fixture
def replica(store: RedisStore, provider: Provider) -> Replica:
    def make(*, refreshes: bool = True) -> UserTokenKeeper:
        return UserTokenKeeper(
            store, provider.refresh, lifetime=86400, refreshes=refreshes, clock=lambda: provider.now
        )

    return make


async def test_tokens_that_are_good_are_left_alone(replica: Replica, provider: Provider) -> None:
    await replica().began("ada", provider.tokens(1))
    provider.now += provider.lifetime - 61
    assert await replica().valid("ada") == replace(provider.tokens(1), issued=1000, expiry=1300)
    assert provider.asked == []


async def test_many_requests_on_many_replicas_cause_one_refresh(replica: Replica, provider: Provider) -> None:
    await replica().began("ada", provider.tokens(1))
    provider.now += provider.lifetime
    replicas = [replica() for _ in range(3)]
    provider.answers.clear()

    asking = [asyncio.create_task(each.valid("ada")) for each in replicas for _ in range(5)]
    while not provider.asked:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    provider.answers.set()

    assert {found.access_token for task in asking if (found := await task)} == {"2"}
    assert provider.asked == ["1"]


async def test_short_lived_ones_are_refreshed_in_their_last_third(
    replica: Replica, provider: Provider
) -> None:
    provider.lifetime = 30
    await replica().began("ada", provider.tokens(1))
    provider.now += 19
    assert (await replica().valid("ada")) is not None
    assert provider.asked == []
    provider.now += 2
    assert await replica().valid("ada") == provider.tokens(2)


async def test_who_is_refused_has_to_log_in_and_the_provider_is_asked_once(
    replica: Replica, provider: Provider
) -> None:
    await replica().began("ada", provider.tokens(1))
    provider.now += provider.lifetime
    provider.failure = RefreshRefused("no")

    assert [await refused(replica()) for _ in range(3)] == [True, True, True]
    assert provider.asked == ["1"]
    provider.failure = None
    await replica().began("ada", provider.tokens(7))
    assert (await replica().valid("ada")) == provider.tokens(7)


async def test_a_provider_that_is_away(replica: Replica, provider: Provider) -> None:
    here, there = replica(), replica()
    await here.began("ada", provider.tokens(1))
    good = await here.valid("ada")
    provider.failure = ProviderAway("no answer")
    provider.now += provider.lifetime - 30
    assert await here.valid("ada") == good, "they are good for a while"
    provider.now += 30

    for each in (here, here, there):
        with pytest.raises(Unavailable):
            await each.valid("ada")
    assert await here.for_session("ada") == good, "the best there is"
    assert len(provider.asked) < 4, "it is not asked again at once"
    provider.failure, provider.asked = None, []
    provider.now += user_tokens.RETRY_SECONDS + 1
    assert (await there.valid("ada")) == provider.tokens(2)


async def test_without_a_refresh_token_they_end(replica: Replica, provider: Provider) -> None:
    await replica().began("ada", replace(provider.tokens(1), refresh_token=""))
    assert (await replica().valid("ada")) is not None
    provider.now += provider.lifetime
    assert (await replica().valid("ada")) is None
    assert (await replica(refreshes=False).valid("ada")) is not None, "nobody asked for that"


async def test_what_browsers_bring_helps_where_the_store_lost_them(
    replica: Replica, provider: Provider, store: RedisStore
) -> None:
    brought = provider.tokens(4)
    assert await replica().valid("ada") is None
    assert await replica().valid("ada", brought) == brought
    assert await store.tokens("ada") == brought
    assert await replica().valid("ada", provider.tokens(3)) == brought, "what is in the store is newer"


async def test_others_are_told(replica: Replica, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_tokens, "LOOK_SECONDS", 0.01)
    here, there = replica(), replica()
    await here.began("ada", provider.tokens(1))
    told: asyncio.Queue[Any] = asyncio.Queue()
    there.tells(lambda user, tokens: told.put_nowait((user, tokens.access_token)))
    looking = asyncio.create_task(there.run(lambda: {"ada"}))

    assert await told.get() == ("ada", "1")
    await here.began("ada", provider.tokens(5))
    assert await told.get() == ("ada", "5")
    provider.now += provider.lifetime
    assert await told.get() == ("ada", "6"), "it refreshes them itself"
    assert provider.asked == ["5"]
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_what_was_refreshed_is_not_lost_with_the_store_away(
    replica: Replica, provider: Provider, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = replica()
    await keeper.began("ada", provider.tokens(1))
    provider.now += provider.lifetime
    tries = 0
    renew = store.renew_tokens

    async def away_at_first(*args: Any, **kwargs: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("away")
        return await renew(*args, **kwargs)

    monkeypatch.setattr(store, "renew_tokens", away_at_first)

    assert await keeper.valid("ada") == provider.tokens(2)
    assert await store.tokens("ada") == provider.tokens(2)


async def refused(keeper: UserTokenKeeper, brought: UserTokens | None = None) -> bool:
    found = await keeper.valid("ada", brought)
    return found is not None and found.refused


@pytest.mark.parametrize("refreshes", [True, False])
async def test_a_logout_counts_on_all_replicas(
    replica: Replica, provider: Provider, store: RedisStore, refreshes: bool
) -> None:
    here, there = replica(refreshes=refreshes), replica(refreshes=refreshes)
    await here.began("ada", provider.tokens(1))
    assert await there.valid("ada") == provider.tokens(1)

    await here.ended("ada")

    for keeper in (here, there, replica(refreshes=refreshes)):
        assert await refused(keeper)
        assert await refused(keeper, provider.tokens(2)), "nor is what a copy of the cookies brings"
    assert await there.for_session("ada") == user_tokens.LOGGED_OUT
    assert await store.tokens("ada") == user_tokens.LOGGED_OUT
    await here.began("ada", provider.tokens(7))
    assert await there.valid("ada") == provider.tokens(7)


async def test_a_refresh_that_is_under_way_while_the_user_logs_out(
    replica: Replica, provider: Provider, store: RedisStore
) -> None:
    here, there = replica(), replica()
    await here.began("ada", provider.tokens(1))
    provider.now += provider.lifetime
    for ends in (here, there):
        provider.asked.clear()
        provider.answers.clear()
        asking = [asyncio.create_task(each.valid("ada")) for each in (here, there)]
        while not provider.asked:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)

        await ends.ended("ada")
        provider.answers.set()

        assert {found.logged_out for task in asking if (found := await task)} == {True}
        assert await store.tokens("ada") == user_tokens.LOGGED_OUT
        provider.now += 1
        await here.began("ada", replace(provider.tokens(1), expiry=provider.now))


async def test_what_a_browser_brings_while_it_logs_out(
    replica: Replica, provider: Provider, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = replica()
    find = store.tokens

    async def slow(login: str) -> UserTokens | None:
        found = await find(login)
        if found is None:
            await replica().ended(login)
        return found

    monkeypatch.setattr(store, "tokens", slow)
    assert await refused(keeper, provider.tokens(1))
    assert await find("ada") == user_tokens.LOGGED_OUT


async def test_others_are_told_of_a_logout(
    replica: Replica, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_tokens, "LOOK_SECONDS", 0.01)
    here, there = replica(), replica()
    await here.began("ada", provider.tokens(1))
    told: asyncio.Queue[UserTokens] = asyncio.Queue()
    there.tells(lambda _, tokens: told.put_nowait(tokens))
    looking = asyncio.create_task(there.run(lambda: {"ada"}))
    assert await told.get() == provider.tokens(1)

    await here.ended("ada")

    assert await told.get() == user_tokens.LOGGED_OUT
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_while_the_store_is_away_tokens_are_good_until_they_expire(
    replica: Replica, provider: Provider, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = provider.tokens(1)
    keeper = replica()

    async def away(*args: Any, **kwargs: Any) -> Any:
        raise StoreUnavailable("away")

    for name in ("tokens", "put_tokens", "lease_tokens", "renew_tokens"):
        monkeypatch.setattr(store, name, away)
    assert await keeper.valid("ada", brought) == brought
    provider.now += provider.lifetime - 10
    assert await keeper.valid("ada", brought) == brought
    provider.now += 10
    with pytest.raises(StoreUnavailable):
        await keeper.valid("ada", brought)
    assert provider.asked == [], "nobody knows whether somebody else has done so"
