"""A user of the app `workout`: moves the slider, clicks, and comes back as BokehJS does.

A visitor keeps a log of what it sent, what was acknowledged and when, and what it saw after each move. What
that log means is for :mod:`devchaos.checker` to say.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from devchaos.seen import Seen, ids_of, look
from loadtests.bench.client import Tab, get, page_token
from loadtests.bokehjs import RECONNECT_DELAYS

__all__ = ("APP", "PANEL_APPS", "SLOW_APP", "Change", "Move", "Stuck", "Visitor")

APP = "workout"
SLOW_APP = "slow_workout"
"""The same, but its runs take a second."""

PANEL_APPS = ("panel_workout", "panel_template")
"""With cells to edit besides."""

PANEL_TELLS_TWICE = version("panel").startswith("1.9.")
"""Before and after a cell is edited; Panel 1.10 does so once, with the value."""

HANDLED_WITHIN = 2.0
"""Seconds until somebody looks again."""

PATIENCE = 40.0
"""Seconds until an answer, above which a visitor is stuck."""

CONNECT_PATIENCE = 20.0
"""Seconds for one attempt to reconnect, with its pull."""


class Stuck(Exception):
    """The page is dead: all attempts to come back failed, or a change was never answered."""


@dataclass(frozen=True)
class Change:
    """One change. `number` is what the slider or a cell is set to, or how many clicks there are with this."""

    kind: str
    number: int
    sent: float
    acked: float | None = None


@dataclass(frozen=True)
class Move:
    """One return after a dropped socket: when it dropped, when the Document was back, what it showed."""

    dropped: float
    back: float
    attempts: int
    seen: Seen
    changes: int
    """How many changes the log held by then."""


@dataclass
class Log:
    """All that happened to one visitor, in order."""

    session_id: str = ""
    first: Seen | None = None
    changes: list[Change] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    last: Seen | None = None
    refused: int = 0
    """Pages that were answered with something else than 200."""
    failure: str = ""


class Visitor:
    """One tab. `port` may be changed at any time: the next connection goes there."""

    def __init__(self, port: int, *, think: float = 0.5, clicks: bool = True, app: str = APP) -> None:
        self.port = port
        self.app = app
        self.think = think
        self.log = Log()
        self.clicks = clicks
        self._tab: Tab | None = None
        self._slider = 0
        self._count = 0
        self._cell = 0
        self._ids: dict[str, str] = {}
        self._stopping = asyncio.Event()

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Get the page, which is tried again for a while when it is refused, and the Document."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                token = page_token(await get(self.port, f"/{self.app}"))
                break
            except (RuntimeError, OSError):
                self.log.refused += 1
                if time.monotonic() > deadline:
                    raise Stuck("the page was refused for too long") from None
                await asyncio.sleep(0.5)
        self._tab = Tab(self.port, self.app, token)
        self.log.session_id = self._tab.session_id
        await self._tab.connect(pull=False)
        self.log.first = await self._pull()
        await self._drawn()

    async def join(self, other: Visitor) -> None:
        """Be a second tab of another visitor's session: same token, through `port`."""
        self._tab = Tab(self.port, other.app, other.tab.token)
        self.log.session_id = other.log.session_id
        await self._tab.connect(pull=False)
        self.log.first = await self.look()
        await self._drawn()

    async def look(self) -> Seen:
        """Pull the Document. What is seen there counts as known from here on."""
        seen = await self._pull()
        self._slider, self._count = max(self._slider, seen.slider), seen.clicks
        self._cell = max(self._cell, seen.cell)
        return seen

    async def live(self) -> None:
        """Use the app until :meth:`stop`; what goes wrong for good is in `log.failure`."""
        try:
            while not self._stopping.is_set():
                try:
                    await self.change()
                    await self._idle(self.think * random.uniform(0.5, 1.5))
                except ConnectionError:
                    await self.come_back()
        except (Stuck, TimeoutError, RuntimeError) as failure:
            self.log.failure = f"{type(failure).__name__}: {failure}"

    def stop(self) -> None:
        """Finish the present change and be still."""
        self._stopping.set()

    async def look_last(self) -> None:
        """See the final state, on the open socket or after coming back."""
        if self.log.failure:
            return
        try:
            try:
                self.log.last = await self._pull()
            except ConnectionError:
                await self.come_back()
                self.log.last = self.log.moves[-1].seen
        except (Stuck, TimeoutError, RuntimeError) as failure:
            self.log.failure = f"{type(failure).__name__}: {failure}"

    def cut(self) -> None:
        """Lose the connection as a broken network does."""
        self.tab.cut()

    def close(self) -> None:
        if self._tab is not None:
            self._tab.close()

    # -- what a user does ----------------------------------------------------------------------

    async def change(self) -> None:
        """Move the slider or click, and wait for the OK. ConnectionError when the socket drops."""
        if self.clicks and random.random() < 0.25:
            await self.click()
        elif self.app in PANEL_APPS and random.random() < 0.3:
            await self.edit()
        else:
            await self.slide()

    async def slide(self) -> None:
        self._slider += 1
        self._begin("slider", self._slider)
        self.tab.set(self._ids["slider"], "value", self._slider)
        await self._acknowledged()

    async def click(self) -> None:
        self._count += 1
        self._begin("click", self._count)
        self._send(_event("button_click", model={"id": self._ids["add"]}))
        await self._acknowledged()

    async def edit(self) -> None:
        """Set a cell of the table, as Panel's JavaScript does it."""
        self._cell += 1
        self._begin("cell", self._cell)
        about = {"model": {"id": self._ids["table"]}, "column": "n", "row": 0}
        patches = {"type": "map", "entries": [["n", [[0, self._cell]]]]}
        cells = {"id": self._ids["cells"]}
        patch = {"kind": "ColumnsPatched", "model": cells, "attr": "data", "patches": patches}
        told: tuple[dict[str, Any], ...]
        if PANEL_TELLS_TWICE:
            told = _event("table-edit", **about, pre=True), patch, _event("table-edit", **about, pre=False)
        else:
            told = _event("table-edit", **about, value=self._cell, old=None), patch
        self._send(*told)
        await self._acknowledged()

    def _send(self, *events: dict[str, Any]) -> None:
        self.tab.send("PATCH-DOC", json.dumps({"events": events}).encode())

    async def dropped(self) -> None:
        """Return when the server has closed the socket. Stuck when it stays open."""
        try:
            await self._idle(2 * PATIENCE)
        except ConnectionError:
            return
        raise Stuck("the server does not close the socket")

    async def come_back(self) -> Move:
        """Reconnect with the same token at BokehJS' pace, and pull. Stuck when all attempts fail."""
        dropped = time.monotonic()
        errors = []
        for number, delay in enumerate(RECONNECT_DELAYS, 1):
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(CONNECT_PATIENCE):
                    self.tab.port = self.port
                    await self.tab.connect(pull=False)
                    return await self._returned(dropped, number)
            except (OSError, TimeoutError) as error:
                self.tab.close()
                errors.append(str(error) or type(error).__name__)
        raise Stuck(f"no way back: {errors}")

    # -- details -------------------------------------------------------------------------------

    async def _drawn(self) -> None:
        """Say so, as BokehJS does once: before that, Panel takes the page for one that is not there yet."""
        self._send(_event("document_ready"))
        async with asyncio.timeout(PATIENCE):
            await self.tab.reply()

    @property
    def tab(self) -> Tab:
        assert self._tab is not None, "not opened"
        return self._tab

    async def _returned(self, dropped: float, attempts: int) -> Move:
        seen = await self._pull()
        back = time.monotonic()
        while seen.contradiction and self.app in PANEL_APPS and time.monotonic() < back + PATIENCE:
            # Panel (1.9 and 1.10) handles what came last a little later: after the app has run, where the
            # page was shown the record first.
            await self._idle(HANDLED_WITHIN)
            seen = await self._pull()
        move = Move(dropped, back, attempts, seen, len(self.log.changes))
        self.log.moves.append(move)
        # A click that was not acknowledged may or may not have counted: go on from what is there.
        self._count = seen.clicks
        return move

    def _begin(self, kind: str, number: int) -> None:
        self.log.changes.append(Change(kind, number, time.monotonic()))

    async def _acknowledged(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.tab.reply()
        last = self.log.changes[-1]
        self.log.changes[-1] = Change(last.kind, last.number, last.sent, time.monotonic())

    async def _pull(self) -> Seen:
        async with asyncio.timeout(PATIENCE):
            frames = await self.tab.pull()
        self.tab.document = json.loads(frames[2])["doc"]
        self._ids = ids_of(self.tab.document)
        if not self._ids.keys() & {"slider", "table"}:
            raise Stuck(f"the page shows something else: {self.tab.document['title']}")
        return look(self.tab.document, _buffers(frames))

    async def _idle(self, seconds: float) -> None:
        """Do nothing, but notice when the socket drops."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.tab.message()
        except TimeoutError:
            return


def _event(name: str, **values: Any) -> dict[str, Any]:
    entries = [[key, value] for key, value in values.items()]
    data = {"type": "event", "name": name, "values": {"type": "map", "entries": entries}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data}


def _buffers(frames: list[bytes]) -> dict[str, Any]:
    pairs = zip(frames[3::2], frames[4::2], strict=True)
    return {json.loads(header)["id"]: payload for header, payload in pairs}
