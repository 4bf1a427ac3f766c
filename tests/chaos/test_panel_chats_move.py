"""Chats of Panel apps over a move: the history stays, the next message follows it, nobody is asked twice."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import panel.chat  # noqa: F401 - the client makes models of its classes
import pytest
from bokeh.core.serialization import UnknownReferenceError
from bokeh.events import DocumentReady
from bokeh.models import TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.moving import came_to_life
from operations.scrape import at_rest, journaled
from panel.models.chatarea_input import ChatAreaInput
from panel.models.markup import HTML

APP = Path(__file__).parent.parent / "apps" / "panel_apps" / "chat.py"
ADA, BOT = ["Ada", "A"], ["Bot", "B"]
ANSWERS: dict[str, Callable[[str, int], str]] = {
    "words": lambda question, _: f"you said {question}",
    "generated": lambda question, _: f"you said {question}",
    "plain": lambda question, before: f"{question.upper()}, and {before} messages before",
}


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet([APP], n=2)


class Tab(Client):
    """Panel tells of a message's parts and words in changes that this client cannot always follow: it forgets
    models as soon as nothing refers to them, and does not know the events of words. :func:`answered` pulls.
    """

    def _take(self, message: Any) -> None:
        with suppress(UnknownReferenceError):
            super()._take(message)


@asynccontextmanager
async def page(replica: Replica, kind: str) -> AsyncIterator[Client]:
    client = await Tab.open(replica.app_url(), arguments={"kind": kind}, timeout=60)
    async with client:
        await client.emit(DocumentReady())
        yield client


async def move(fleet: Fleet, client: Client, end: str, *, answering: bool = False) -> None:
    """The replica that has the page goes, and it comes back to the other one; both are there in the end."""
    here = next(each for each in fleet.replicas if client.url == each.app_url())
    there = fleet.others(here)[0]
    await asyncio.to_thread(*((journaled, here) if answering else (at_rest, fleet, here)))
    getattr(here, end)()
    await asyncio.to_thread(here.wait)
    try:
        client.wire.drop()
        client.url = there.app_url()
        await client.reconnect(timeout=60)
        await came_to_life(client, there)
        assert not there.matching("Traceback|already known")
    finally:
        await here.start_async()


def texts(client: Client) -> list[str]:
    found = [model.text for model in client.document.select({"type": HTML})]
    return [html.unescape(html.unescape(text)) for text in found]


def seen(client: Client) -> list[str]:
    """What is shown of the messages: their texts, names, avatars and times."""
    return sorted(each for each in texts(client) if "told" not in each)


async def shown(client: Client, part: str) -> None:
    await client.expect(lambda _: any(part in each for each in texts(client)), what=part)


async def by_key(client: Client, words: str) -> None:
    """As Panel's JavaScript does it when Enter is pressed."""
    area = client.model(ChatAreaInput)
    entries = [["model", area.ref], ["value", words]]
    data = {"type": "event", "name": "chat_message_event", "values": {"type": "map", "entries": entries}}
    await client.patch_json({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data})


async def by_button(client: Client, words: str) -> None:
    await client.patch(ChatAreaInput, value_input=words)
    await client.click({"label": "Send"})


async def told(client: Client) -> tuple[list[list[str]], list[str]]:
    """The chat's messages (user, avatar, text) as the app itself has them, and what it was asked here."""
    before = max((int(each) for each in re.findall(r"told (\d+):", " ".join(texts(client)))), default=0)
    await client.click({"label": "tell"})
    found = await client.expect(
        lambda _: re.search(rf"told {before + 1}: (.*\])", " ".join(texts(client)), re.DOTALL)
    )
    messages, asked = json.loads(found[1].partition("</pre>")[0])
    return messages, asked


async def answered(client: Client, *messages: list[str]) -> list[str]:
    """The chat gets to have these messages; what it was asked for them since the last move."""
    found = await told(client)
    try:
        async with asyncio.timeout(60):
            while found[0] != list(messages):
                found = await told(client)
    except TimeoutError:
        raise AssertionError(f"{found} in the place of {messages}") from None
    await client.pull()
    return found[1]


def is_open(client: Client) -> bool:
    """It takes another message, in both ways."""
    disabled = client.value(ChatAreaInput, "disabled_enter") or client.value({"label": "Send"}, "disabled")
    return not disabled and bool(client.value({"label": "Send"}, "visible"))


@pytest.mark.parametrize("ends", [("terminate", "terminate"), ("kill", "terminate")], ids=["drains", "kills"])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_the_next_message_follows_the_history(fleet: Fleet, kind: str, ends: tuple[str, str]) -> None:
    history: list[list[str]] = []
    async with page(fleet.replicas[0], kind) as client:
        for question, write, end in zip(("hello", "the end"), (by_key, by_button), ends, strict=True):
            await write(client, question)
            answer = ANSWERS[kind](question, len(history) + 1)
            history += [[*ADA, question], [*BOT, answer]]
            assert await answered(client, *history) == [question]
            before = seen(client)
            assert all(any(text in each for each in before) for _, _, text in history)

            await move(fleet, client, end)

            assert seen(client) == before
            assert is_open(client)
            assert await answered(client, *history) == []  # nobody asked it again


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_an_answer_that_a_move_cuts_off_does_not_end_the_chat(fleet: Fleet, end: str) -> None:
    async with page(fleet.replicas[0], "words") as client:
        await by_key(client, "please wait for it")
        async with asyncio.timeout(60):
            while not any("you said please wait" in each for each in texts(client)):
                await client.pull()

        await move(fleet, client, end, answering=True)

        assert any("you said please wait" in each for each in texts(client))
        assert is_open(client)
        cut = [[*ADA, "please wait for it"], [*BOT, "you said please wait"]]
        assert await answered(client, *cut) == []
        await by_key(client, "hello")
        assert await answered(client, *cut, [*ADA, "hello"], [*BOT, "you said hello"]) == ["hello"]


async def test_what_stays_in_the_input_is_not_sent_again(fleet: Fleet) -> None:
    """It is a value that its user has set, as others whose callbacks are repeated."""
    history: list[list[str]] = []
    async with page(fleet.replicas[0], "kept") as client:
        for question in ("hello", "the end"):
            await client.patch(TextInput, value=question)
            history += [[*ADA, question], [*BOT, ANSWERS["plain"](question, len(history) + 1)]]
            assert await answered(client, *history) == [question]

            await move(fleet, client, "kill" if question == "hello" else "terminate")

            assert client.value(TextInput, "value") == question
            assert await answered(client, *history) == []


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_what_messages_offer_works(fleet: Fleet, end: str) -> None:
    """Controls are made again by what made them: the chat is asked once more."""
    async with page(fleet.replicas[0], "offered") as client:
        for question in ("tea", "milk"):
            await client.expect(is_open, what="it is open")
            await by_key(client, question)
            await shown(client, f"take {question}?")
        messages, _ = await told(client)
        assert len(messages) == 4

        await move(fleet, client, end)

        assert is_open(client)
        assert (await told(client))[0] == messages
        for question in ("milk", "tea"):
            await client.click({"label": f"take {question}"})
            await shown(client, f"took {question} 1")
        await by_key(client, "sugar")
        await shown(client, "take sugar?")
        assert len((await told(client))[0]) == 6
