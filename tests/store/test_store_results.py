"""Results that all use: what :class:`store.results.Results` promises, embedded and over a real Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from store.pieces import Pieces
from store.redis_store import RedisStore
from store.results import FoundResult, KeptResult, ResultName, ResultState

NAME = ResultName("/app", "query")
LEASE = 100.0
MAX_BYTES = 2**20
ENTRY = 32 + 200
"""What a result counts besides its own bytes: its key, and what Redis takes."""

calls = itertools.count()


def key(number: int) -> str:
    return f"{number:032x}"


async def find(store: RedisStore, number: int = 0, call: str = "", **options: Any) -> FoundResult:
    call = call or f"call {next(calls)}"
    return await store.find_result(NAME, key(number), call=call, **{"lease": LEASE, **options})


async def keep(
    store: RedisStore, found: FoundResult, call: str, data: Any = b"result", number: int = 0, **options: Any
) -> KeptResult:
    options = {"ttl": 0.0, "max_bytes": MAX_BYTES, **options}
    return await store.keep_result(NAME, key(number), data, call=call, generation=found.generation, **options)


async def computed(store: RedisStore, number: int = 0, data: Any = b"result", **options: Any) -> KeptResult:
    call = f"call {next(calls)}"
    return await keep(store, await find(store, number, call), call, data, number, **options)


async def states(store: RedisStore, *numbers: int) -> list[ResultState]:
    return [(await find(store, number)).state for number in numbers]


# -- computed once -----------------------------------------------------------------------------------


async def test_the_first_to_ask_computes_and_others_find_it(store: RedisStore) -> None:
    first, second = await find(store, call="a"), await find(store, call="b")
    kept = await keep(store, first, "a", b"\x00\xc1 result")
    found = await find(store)

    assert (first.state, second.state) == (ResultState.COMPUTE, ResultState.HELD)
    assert LEASE - 20 < second.left <= LEASE
    assert kept.kept
    assert found == FoundResult(ResultState.THERE, first.generation, "a", 0.0, b"\x00\xc1 result")


async def test_large_results_in_pieces(store: RedisStore) -> None:
    parts = (b"a" * 100_000, memoryview(b"b" * 100_000))
    await computed(store, data=Pieces(parts))

    assert (await find(store)).data == b"".join(parts)


async def test_who_has_it_gets_no_data(store: RedisStore) -> None:
    await computed(store)
    found = await find(store)

    assert (await find(store, known=found.id)) == FoundResult(ResultState.SAME, found.generation, found.id)
    other = await find(store, known="other")
    assert (other.state, other.data) == (ResultState.THERE, b"result")


async def test_repeated_calls_change_nothing(store: RedisStore) -> None:
    first, again = await find(store, call="a"), await find(store, call="a")
    kept = [await keep(store, first, "a") for _ in range(2)]
    await store.give_up_result(NAME, key(0), call="a", generation=first.generation)

    assert first == again
    assert kept[0] == kept[1]
    assert (await find(store)).state is ResultState.THERE


async def test_a_lease_ends_unless_it_is_renewed(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    first = await find(store, call="a", lease=0.05)

    async def passed_on() -> bool:
        return (await find(store, call="b", lease=LEASE)).state is ResultState.COMPUTE

    await until(passed_on)
    generation = first.generation
    assert not await store.renew_result(NAME, key(0), call="a", generation=generation, lease=LEASE)
    assert await store.renew_result(NAME, key(0), call="b", generation=generation, lease=LEASE)
    assert not (await keep(store, first, "a")).kept
    assert (await keep(store, first, "b")).kept


async def test_what_comes_late_is_kept_if_nobody_else_began(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    first = await find(store, call="a", lease=0.001)
    await asyncio.sleep(0.01)

    assert (await keep(store, first, "a")).kept


async def test_given_up_it_is_the_next_ones(store: RedisStore) -> None:
    first = await find(store, call="a")
    await store.give_up_result(NAME, key(0), call="a", generation=first.generation)

    assert await states(store, 0, 0) == [ResultState.COMPUTE, ResultState.HELD]


async def test_for_a_while_nobody_waits(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    first = await find(store, call="a")
    await store.give_up_result(NAME, key(0), call="a", generation=first.generation, apart=LEASE)
    second = await find(store, call="b")
    assert await states(store, 0, 0) == [ResultState.APART] * 2

    assert (await keep(store, second, "b")).kept
    assert await states(store, 0) == [ResultState.THERE]


# -- bounds ------------------------------------------------------------------------------------------


async def test_the_least_recently_used_go_first(store: RedisStore) -> None:
    room = {"max_bytes": 3 * (ENTRY + 1000) + 700}  # with what encryption adds
    for number in range(3):
        assert (await computed(store, number, b"x" * 1000, **room)).evicted == 0
        await asyncio.sleep(0.003)  # the store's clock counts milliseconds
    assert (await find(store, 0)).state is ResultState.THERE
    kept = await computed(store, 3, b"x" * 1000, **room)

    assert kept.evicted == 1
    assert kept.bytes <= room["max_bytes"]
    assert await states(store, 0, 1, 2, 3) == [
        ResultState.THERE, ResultState.COMPUTE, ResultState.THERE, ResultState.THERE
    ]  # fmt: skip


async def test_room_for_a_large_one_is_made_in_steps(store: RedisStore) -> None:
    many = 1050
    first = await find(store, many + 1)
    for at in range(0, many, 50):
        keeping = (keep(store, first, f"a {number}", number=number) for number in range(at, at + 50))
        await asyncio.gather(*keeping)
    room = {"max_bytes": 2**16 + 2 * ENTRY + 200}  # with what encryption adds
    evicted = []
    while not (kept := await computed(store, many, b"x" * 2**16, **room)).kept:
        evicted.append(kept.evicted)
        assert len(evicted) == 1

    assert evicted == [1000]
    assert many - 5 <= sum(evicted) + kept.evicted <= many
    assert kept.bytes <= room["max_bytes"]
    assert await states(store, 0, many) == [ResultState.COMPUTE, ResultState.THERE]


async def test_a_result_that_replaces_another_counts_once(store: RedisStore) -> None:
    sizes = []
    for size in (1000, 10, 1000):
        found = await find(store, call="a")
        await keep(store, found, "a", b"x" * size)
        sizes.append((await keep(store, found, "a", b"x" * size)).bytes)

    assert sizes[0] == sizes[2] == sizes[1] + 990


async def test_results_expire(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    await computed(store, ttl=0.05)
    await computed(store, 1, ttl=LEASE)
    assert LEASE - 20 < (await find(store, 1)).ttl <= LEASE

    async def gone() -> bool:
        return (await find(store)).state is not ResultState.THERE

    await until(gone)
    kept = await computed(store, 2)
    assert kept.bytes < 2 * (ENTRY + 400)
    assert await states(store, 1, 2) == [ResultState.THERE] * 2


async def test_no_key_is_there_for_good(store: RedisStore, raw: Any) -> None:
    await computed(store, 0, ttl=10)
    await computed(store, 1)
    await find(store, 2)
    await store.forget_results(NAME, key(1))

    assert {expires for _, expires in (await raw.keys()).values()} == {True}


# -- forgetting --------------------------------------------------------------------------------------


async def test_one_is_forgotten_also_while_it_is_computed(store: RedisStore) -> None:
    await computed(store, 0)
    await computed(store, 1)
    late = await find(store, 2, call="a")

    assert [await store.forget_results(NAME, key(number)) for number in (0, 2)] == [1, 0]
    assert not await store.renew_result(NAME, key(2), call="a", generation=late.generation, lease=LEASE)
    assert not (await keep(store, late, "a", number=2)).kept
    assert await states(store, 0, 1, 2) == [
        ResultState.COMPUTE, ResultState.THERE, ResultState.COMPUTE
    ]  # fmt: skip
    assert (await find(store, 2)).state is ResultState.HELD


async def test_all_are_forgotten_also_while_they_are_computed(store: RedisStore) -> None:
    await computed(store, 0)
    await computed(store, 1)
    late = await find(store, 2, call="a")

    assert await store.forget_results(NAME) == 2
    assert await states(store, 2, 2) == [ResultState.COMPUTE, ResultState.HELD]
    assert not (await keep(store, late, "a", number=2)).kept
    assert (await computed(store, 0)).bytes < 2 * ENTRY


async def test_what_the_store_has_lost(store: RedisStore, raw: Any) -> None:
    await computed(store, 0)
    going_on = await find(store, 1, call="a")
    await raw("FLUSHALL")

    renewed = await store.renew_result(NAME, key(1), call="a", generation=going_on.generation, lease=LEASE)
    assert renewed
    assert (await keep(store, going_on, "a", number=1)).kept
    assert await states(store, 0, 1) == [ResultState.COMPUTE, ResultState.THERE]


# -- damage ------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_computed_again(store: RedisStore, raw: Any) -> None:
    await computed(store, 0)
    (values,) = [name for name in await raw.keys() if name.endswith(":results")]
    (field,) = await raw("HKEYS", values)
    await raw("HSET", values, field, b"\xc1\x01 not ours")
    found = await find(store)

    assert found.state is ResultState.THERE
    assert (found.data, bool(found.damage)) == (b"", True)
    assert (await find(store, unreadable=found.id)).state is ResultState.COMPUTE


async def test_functions_and_apps_have_their_own(store: RedisStore) -> None:
    await computed(store)
    for other in (ResultName("/other", "query"), ResultName("/app", "other")):
        found = await store.find_result(other, key(0), call="a", lease=LEASE)
        assert found.state is ResultState.COMPUTE
