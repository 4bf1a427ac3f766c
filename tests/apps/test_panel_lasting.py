"""Sessions last as long as their app wants: ``block_expiration`` and ``request_expiration``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bokeh.events import DocumentReady
from bokeh.models import TextInput
from devfleet.replica import Replica
from harness.client import Client
from panel.models.markup import HTML

APP = Path(__file__).parent / "panel_apps" / "lasting.py"
CHECKS = ["--check-unused-sessions", "200", "--unused-session-lifetime"]


@pytest.fixture(scope="module")
def short() -> Iterator[Replica]:
    """Where sessions last a second."""
    with Replica([APP], name="short", args=[*CHECKS, "1000"]) as replica:
        yield replica


@pytest.fixture(scope="module")
def long() -> Iterator[Replica]:
    """Where sessions last an hour."""
    with Replica([APP], name="long", args=[*CHECKS, "3600000"]) as replica:
        yield replica


@asynccontextmanager
async def page(replica: Replica, name: str) -> AsyncIterator[Client]:
    async with await Client.open(replica.app_url(), arguments={"name": name}, timeout=60) as client:
        await client.emit(DocumentReady())
        yield client


async def say(client: Client, word: str, answer: str) -> None:
    await client.patch(TextInput, value=word)
    shown = lambda: [model.text for model in client.document.select({"type": HTML})]  # noqa: E731
    await client.expect(lambda _: any(answer in text for text in shown()), what=f"{answer} in {shown()}")


async def visit(replica: Replica, name: str, *words: tuple[str, str]) -> None:
    async with page(replica, name) as client:
        for word, answer in words:
            await say(client, word, answer)


async def ended(replica: Replica, name: str) -> None:
    await asyncio.to_thread(replica.wait_line, f"{name} has ended")


async def test_a_session_that_is_blocked_stays(short: Replica) -> None:
    await visit(short, "blocked", ("block", "block True False"))
    await visit(short, "later")
    await ended(short, "later")
    assert not short.matching("blocked has ended")

    await visit(short, "other", ("unblock others", "unblock others False False"))
    await ended(short, "blocked")


async def test_a_block_is_over_with_its_context(short: Replica) -> None:
    await visit(short, "within", ("with", "within 1"))
    await ended(short, "within")


async def test_a_session_ends_at_once_when_it_wants_to(long: Replica) -> None:
    await visit(long, "ordinary")
    await visit(long, "requesting", ("end", "end False True"))
    await ended(long, "requesting")
    assert not long.matching("ordinary has ended")


async def test_blocks_and_unblocks_must_match(short: Replica) -> None:
    async with page(short, "mismatched") as client:
        await client.patch(TextInput, value="unblock")
        await asyncio.to_thread(short.wait_line, "mismatched block_expiration / unblock_expiration")
