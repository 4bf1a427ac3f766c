"""Commands of many callers share pipelines; what becomes of one is its caller's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from harness.redis_server import RedisServer

from store.batches import MAX_COMMANDS, MAX_UNDER_WAY, Batches
from store.contract import Outcome, PageRequest, SessionKey
from store.errors import StoreUnavailable
from store.redis_store import RedisStore
from store.scripts import Command


class Server:
    """Answers each command with its arguments, once it is let."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.answers = asyncio.Event()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        self.asked.append([command.args for command in commands])
        await self.answers.wait()
        return [ValueError("no") if command.args == ("bad",) else command.args for command in commands]


def commands(*names: str) -> list[Command]:
    return [Command((name,)) for name in names]


async def test_what_is_asked_in_one_turn_goes_together() -> None:
    server = Server()
    batches = Batches(server.send, 5)
    server.answers.set()

    found = await asyncio.gather(batches.ask(commands("a", "b")), batches.ask(commands("c")))

    assert found == [[("a",), ("b",)], [("c",)]]
    assert server.asked == [[("a",), ("b",), ("c",)]]


async def test_what_comes_while_all_are_under_way_goes_with_the_next() -> None:
    server = Server()
    batches = Batches(server.send, 5)
    first = []
    for number in range(MAX_UNDER_WAY):
        first.append(batches.ask(commands(str(number))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(server.asked) == MAX_UNDER_WAY
    later = [batches.ask(commands(str(number))) for number in range(MAX_COMMANDS + 1)]
    gone = batches.ask(commands("gone"))
    await asyncio.sleep(0)
    gone.cancel()
    assert len(server.asked) == MAX_UNDER_WAY

    server.answers.set()
    await asyncio.gather(*first, *later)

    assert [len(asked) for asked in server.asked] == [*[1] * MAX_UNDER_WAY, MAX_COMMANDS, 1]


async def test_an_error_is_told_to_whoever_asked_for_it() -> None:
    server = Server()
    batches = Batches(server.send, 5)
    server.answers.set()

    bad, good = await asyncio.gather(
        batches.ask(commands("a", "bad")), batches.ask(commands("b")), return_exceptions=True
    )

    assert isinstance(bad, ValueError)
    assert good == [("b",)]


async def test_a_batch_without_an_answer_fails_for_all_in_it() -> None:
    batches = Batches(Server().send, 0.01)

    found = await asyncio.gather(
        batches.ask(commands("a")), batches.ask(commands("b")), return_exceptions=True
    )

    assert [type(each) for each in found] == [TimeoutError, TimeoutError]


async def test_who_waits_when_the_store_is_closed_is_told() -> None:
    server = Server()
    batches = Batches(server.send, 5)
    asked = batches.ask(commands("a"))
    await asyncio.sleep(0)  # it is on its way
    batches.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(asked, 30)


async def test_large_replies_do_not_share_with_many() -> None:
    server = Server()
    server.answers.set()
    batches = Batches(server.send, 5)
    large = [Command((str(number),), weight=MAX_COMMANDS // 2) for number in range(3)]
    await asyncio.gather(*(batches.ask([each]) for each in large))
    assert [len(each) for each in server.asked] == [2, 1]


@pytest.mark.redis
async def test_a_crowd_of_sessions_takes_few_connections(
    redis_server: RedisServer, opened: Callable[..., RedisStore]
) -> None:
    redis_server.command("FLUSHALL")
    redis_server.command("SCRIPT", "FLUSH")  # each batch has to send its scripts as text at first
    store = opened(redis_server.socket_url, connections=50)
    before = connections(redis_server)
    keys = [SessionKey("/app", str(number)) for number in range(300)]

    claims = await asyncio.gather(*(store.claim(key, "a", request=PageRequest()) for key in keys))
    records = await asyncio.gather(*(store.read(key) for key in keys))

    assert {claim.outcome for claim in claims} == {Outcome.OWN}
    assert [record.key for record in records if record is not None] == keys
    assert connections(redis_server) - before <= MAX_UNDER_WAY


def connections(server: RedisServer) -> int:
    return int(server.command("INFO", "clients")["connected_clients"])
