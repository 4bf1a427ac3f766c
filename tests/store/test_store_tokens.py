"""Users' tokens: one caller in the fleet refreshes them, all others get what it got."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from harness.redis_server import RedisServer

from store.contract import TokenLease, UserTokens
from store.encryption import Encryption
from store.redis_store import RedisStore

FIRST = UserTokens(access_token="one", refresh_token="r1", id_token="ada's", issued=1.5, expiry=2.5)
SECOND = UserTokens(access_token="two", refresh_token="r2", id_token="ada's", issued=2.0)


async def test_what_was_put_is_found(store: RedisStore) -> None:
    assert await store.tokens("ada") is None
    assert await store.token_numbers(["ada", "grace"]) == [0, 0]

    number = await store.put_tokens("ada", FIRST, 100)

    found = await store.tokens("ada")
    assert found == FIRST
    assert found is not None
    assert found.number == number
    assert await store.token_numbers(["grace", "ada"]) == [0, number]


async def test_they_expire(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    await store.put_tokens("ada", FIRST, 0.01)

    async def gone() -> bool:
        return await store.tokens("ada") is None

    await until(gone)


async def test_numbers_grow_also_when_the_store_lost_its_data(store: RedisStore, raw: Any) -> None:
    numbers = [await store.put_tokens("ada", FIRST, 100) for _ in range(5)]
    await raw("FLUSHALL")
    numbers.append(await store.put_tokens("ada", FIRST, 100))

    assert numbers[:5] == sorted(set(numbers[:5]))
    assert numbers[5] >= numbers[0]


async def test_one_of_many_refreshes_and_the_others_get_its_result(store: RedisStore) -> None:
    number = await store.put_tokens("ada", FIRST, 100)
    assert await store.lease_tokens("ada", "a", number=number, ttl=100) == TokenLease(True)
    assert await store.lease_tokens("ada", "a", number=number, ttl=100) == TokenLease(True)
    assert await store.lease_tokens("ada", "b", number=number, ttl=100) == TokenLease(False)
    assert await store.lease_tokens("grace", "b", number=0, ttl=100) == TokenLease(True)
    assert await store.tokens("ada") == FIRST

    assert not await store.renew_tokens("ada", "b", number=number, tokens=SECOND, ttl=100)
    assert await store.renew_tokens("ada", "a", number=number, tokens=SECOND, ttl=100)
    assert await store.renew_tokens("ada", "a", number=number, tokens=SECOND, ttl=100)  # its reply was lost

    answer = await store.lease_tokens("ada", "b", number=number, ttl=100)
    assert (answer.granted, answer.newer) == (False, SECOND)
    newer = answer.newer
    assert newer is not None
    assert newer.number > number
    assert await store.lease_tokens("ada", "b", number=newer.number, ttl=100) == TokenLease(True)


async def test_a_lease_that_is_given_back_or_ran_out_is_for_others(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    number = await store.put_tokens("ada", FIRST, 100)
    await store.lease_tokens("ada", "a", number=number, ttl=100)
    assert await store.renew_tokens("ada", "a", number=number, tokens=None, ttl=100)
    assert (await store.lease_tokens("ada", "b", number=number, ttl=0.01)).granted

    async def granted() -> bool:
        return (await store.lease_tokens("ada", "c", number=number, ttl=100)).granted

    await until(granted)
    assert not await store.renew_tokens("ada", "b", number=number, tokens=SECOND, ttl=100)
    assert await store.tokens("ada") == FIRST


async def test_a_login_wins_over_a_refresh_that_is_under_way(store: RedisStore) -> None:
    number = await store.put_tokens("ada", FIRST, 100)
    await store.lease_tokens("ada", "a", number=number, ttl=100)
    login = UserTokens(access_token="of the login")
    await store.put_tokens("ada", login, 100)

    assert not await store.renew_tokens("ada", "a", number=number, tokens=SECOND, ttl=100)
    assert await store.tokens("ada") == login


async def test_a_lease_without_tokens_leaves_nothing_behind(
    store: RedisStore, raw: Any, until: Callable[..., Awaitable[Any]]
) -> None:
    await store.lease_tokens("ada", "a", number=0, ttl=0.01)

    async def gone() -> bool:
        return not await raw("KEYS", "*")

    await until(gone)
    await store.lease_tokens("ada", "a", number=0, ttl=100)
    assert await store.renew_tokens("ada", "a", number=0, tokens=SECOND, ttl=100)
    assert await store.tokens("ada") == SECOND


@pytest.mark.redis
async def test_tokens_are_encrypted_where_nothing_else_is(
    redis_server: RedisServer, opened: Callable[..., RedisStore]
) -> None:
    redis_server.command("FLUSHALL")
    vault = Encryption(["secret"], writes=True, requires=True)
    store = opened(redis_server.socket_url, vault=vault)
    await store.put_tokens("ada@example.com", FIRST, 100)

    (key,) = await store._link.send("KEYS", "*")
    fields = await store._link.send("HGETALL", key)
    held = b" ".join([key, *fields.keys(), *fields.values()])
    for secret in (b"ada", b"one", b"r1"):
        assert secret not in held
    assert await store.tokens("ada@example.com") == FIRST
    other = opened(redis_server.socket_url, vault=Encryption(["another"], writes=True, requires=True))
    assert await other.tokens("ada@example.com") is None
    await store._link.send("HSET", key, "data", b"\x81\xa1v\x01")
    assert await store.tokens("ada@example.com") is None, "what is not encrypted is not believed"


def test_tokens_do_not_show_in_tracebacks() -> None:
    assert "one" not in repr(FIRST)
