"""Visitors who come, use an app for a while and go, in all the ways in which tabs go.

What a visitor set and the server acknowledged has to be there when it comes back; what is wrong is in
:attr:`SessionCounts.wrong`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.bench.client import Tab, get, page_token
from loadtests.bokehjs import RECONNECT_DELAYS

__all__ = ("Guest", "Tally")

ANSWER_SECONDS = 40.0
"""Until an answer, above which the page is dead."""

WRITE_SECONDS = 1.0
"""Within which an acknowledged change must be in the store: the journal's interval, and time to write it."""

READ_SECONDS = 0.5
"""By which an answer that was sent before may be read later here."""


@dataclass
class Tally:
    """What all visitors of one place did, and what went wrong."""

    visits: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    returns: int = 0
    refused: int = 0
    """Pages that were not answered with 200, as when a balancer's replica has just died."""
    wrong: list[str] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    """When replicas were stopped. Their pages notice only when they go on, long after others may have taken
    the sessions as they were last written."""

    def __str__(self) -> str:
        visits, refused = self.visits.total(), self.refused
        return f"{visits} visits, {self.changes} changes, {self.returns} returns, {refused} refused pages"


class Dead(Exception):
    """The page is of no more use to its visitor."""


class Guest:
    """One tab on ``app`` at ``port``, from its page to its end."""

    def __init__(self, port: int, app: str, think: Callable[[], float], tally: Tally) -> None:
        self._port, self._app, self._think, self._tally = port, app, think, tally
        self._tab: Tab | None = None
        self._slider = ""
        self._value = 0
        self._acknowledged: list[tuple[float, int]] = []

    async def visit(self) -> None:
        """One visit, whatever becomes of it."""
        ending = random.choice(list(ENDINGS))
        self._tally.visits[self._app] += 1
        try:
            await self._open()
            for _ in range(random.randrange(1, 8)):
                await self._use()
            await ENDINGS[ending](self)
        except (Dead, TimeoutError, RuntimeError) as failure:
            self._tally.wrong.append(f"{self._app}, {ending}: {type(failure).__name__}: {failure}")
        finally:
            if self._tab is not None:
                self._tab.close()

    # -- what a visitor does -------------------------------------------------------------------

    async def _open(self) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        while self._tab is None:
            try:
                token = page_token(await get(self._port, f"/{self._app}"))
                tab = Tab(self._port, self._app, token)
                await tab.connect(pull=False)
                self._tab = tab
            except (RuntimeError, OSError) as refused:
                self._tally.refused += 1
                if time.monotonic() > until:
                    raise Dead(f"the page was refused for too long: {refused}") from refused
                await asyncio.sleep(0.5)
        try:
            await self._pull()
        except ConnectionError:
            await self._come_back()

    async def _use(self) -> None:
        """Move the slider, then read what comes; come back when the connection breaks."""
        try:
            self._value += 1
            self._open_tab.set(self._slider, "value", self._value)
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._open_tab.reply()
            self._acknowledged.append((time.monotonic(), self._value))
            self._tally.changes += 1
            await self._look_on(self._think())
        except ConnectionError:
            await self._come_back()

    async def _look_on(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._open_tab.message()
        except TimeoutError:
            return

    async def _close(self) -> None:
        self._open_tab.close()

    async def _vanish(self) -> None:
        self._open_tab.cut()

    async def _return(self) -> None:
        """A network that breaks for a moment."""
        self._open_tab.cut()
        await self._come_back()
        await self._use()

    async def _reload(self) -> None:
        """The page once more, without a socket; its session begins and is never used."""
        self._open_tab.close()
        try:
            await get(self._port, f"/{self._app}")
            await get(self._port, f"/{self._app}/autoload.js?bokeh-autoload-element=1")
        except (RuntimeError, OSError):
            self._tally.refused += 1

    async def _stay(self) -> None:
        """Long enough for the session to hibernate, where that is on; then go on."""
        try:
            await self._look_on(8 * self._think())
        except ConnectionError:
            await self._come_back()
        await self._use()

    # -- coming back ---------------------------------------------------------------------------

    async def _come_back(self) -> None:
        dropped, errors = time.monotonic(), []
        for delay in RECONNECT_DELAYS:
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._open_tab.connect(pull=False)
                    found = await self._pull()
            except (OSError, TimeoutError) as error:
                self._open_tab.close()
                errors.append(str(error) or type(error).__name__)
                continue
            self._tally.returns += 1
            self._check(found, dropped)
            return
        raise Dead(f"no way back: {errors}")

    def _check(self, found: int, dropped: float) -> None:
        """The slider only ever rises, so one number tells what came through."""
        ends = [dropped, *self._tally.frozen]
        due = [
            (value, at)
            for at, value in self._acknowledged
            if at < dropped and not any(end - WRITE_SECONDS <= at <= end + READ_SECONDS for end in ends)
        ]
        value, at = max(due, default=(0, dropped))
        if not value <= found <= self._value:
            age = f"{dropped - at:.1f} s before the connection was lost, at {time.strftime('%X')}"
            raise Dead(
                f"the slider is {found}, and not {value} to {self._value}; {value} was acknowledged {age}"
            )

    async def _pull(self) -> int:
        """The slider's value, as the server has it."""
        async with asyncio.timeout(ANSWER_SECONDS):
            document = json.loads((await self._open_tab.pull())[2])["doc"]
        slider = _slider(document)
        if slider is None:
            raise Dead("the Document has no slider")
        self._slider = slider["id"]
        return int(slider["attributes"].get("value", 0))

    @property
    def _open_tab(self) -> Tab:
        assert self._tab is not None, "not opened"
        return self._tab


ENDINGS: Mapping[str, Callable[[Guest], Awaitable[None]]] = {
    "close": Guest._close,
    "vanish": Guest._vanish,
    "return": Guest._return,
    "reload": Guest._reload,
    "stay": Guest._stay,
}


def _slider(value: Any) -> dict[str, Any] | None:
    """The model that is called slider: Bokeh's by its name, Panel's by its title."""
    children: Any = ()
    if isinstance(value, dict):
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and "slider" in (attributes.get("name"), attributes.get("title")):
            return value
        children = value.values()
    elif isinstance(value, list):
        children = value
    return next((found for child in children if (found := _slider(child)) is not None), None)
