"""A real process gets what nobody would send, while a well-behaved visitor uses it.

Judged are its answers (none above 499), its log (no traceback, about a line for each input), its memory, and
what the visitor saw. Each input can be sent again by its number.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devfleet.replica import Replica

from loadtests.bench.client import Tab, get, page_token
from loadtests.fuzz.inputs import Input, Page, input_of
from loadtests.watch import read_metrics

__all__ = ("APP", "Findings", "WireFuzz", "faults_of_memory")

APP = Path(__file__).parents[1] / "apps" / "fuzzed.py"
FLAGS = [
    "--unused-session-lifetime", "1000", "--check-unused-sessions", "1000", "--session-retention", "5",
    "--websocket-compression-level", "1",
]  # fmt: skip

INPUTS_PER_PAGE = 25
AT_ONCE = 6
ANSWER_SECONDS = 5.0
"""For an input to be answered, if it ever is."""
HANGING_SECONDS = 60.0
"""Above which something hangs that has to be answered, also by a busy machine."""
IDLE_SECONDS = 0.15
"""Without a byte, after which nothing more is expected of a connection."""
PEAK_BYTES = 256 * 1024 * 1024
"""Above what was in use before: several messages of the largest size at once, and what they become."""
LEFT_BYTES = 96 * 1024 * 1024
"""When all sessions have ended: what was loaded meanwhile, and caches that are full by then.
Seen: 72 MiB after 2 and 4 minutes, 73 and 75 after 5 and 10; with an arena of malloc's for each thread 155
MiB after 1.5 minutes and 244 after 3."""
GROWTH_BYTES = 16 * 1024 * 1024
"""That the second half may leave behind on top of what the first one did, when hardly anything is loaded or
filled any more: so much calls for no collection yet, see service/memory.py."""
SETTLE_SECONDS = 180.0
STILL_SECONDS = 60.0
"""Without sessions, after which nothing more is collected; see service/memory.py."""
COLLECTED = " collected "
LINES_PER_INPUT = 2

FAULT = re.compile(r"Traceback|\bERROR\b|\bCRITICAL\b")
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d)")


@dataclass
class Findings:
    """What came of it; ``faults`` are findings."""

    inputs: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    good_moves: int = 0
    before: int = 0
    peak: int = 0
    halfway: int = 0
    """In use when all is over that the first half had begun."""
    after: int = 0
    lines: int = 0

    def __str__(self) -> str:
        mib = 1024 * 1024
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.inputs.items()))
        answers = ", ".join(f"{number}x {kind}" for kind, number in sorted(self.answers.items()))
        return (
            f"{self.inputs.total()} inputs ({kinds}); answers: {answers}\n"
            f"{self.lines} log lines; {self.good_moves} moves of a visitor meanwhile\n"
            f"memory: {self.before / mib:.0f} MB before, {self.peak / mib:.0f} at most, when all was over "
            f"{self.halfway / mib:.0f} after the first half and {self.after / mib:.0f} after the second"
        )


class WireFuzz:
    """Inputs by number, from ``seed``, at ``per_second``."""

    def __init__(self, server: Replica, seed: int, save: Path, *, per_second: float) -> None:
        self.found = Findings()
        self._server, self._seed, self._save, self._pause = server, seed, save, 1 / per_second
        self._recent: deque[tuple[int, Input]] = deque(maxlen=4 * AT_ONCE)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._lines_read = 0
        self._number = 0

    async def run(self, seconds: float) -> None:
        await self._warm_up()
        self.found.before = _resident(self._server)
        self._lines_read = first_line = len(self._server.lines)
        beside = [asyncio.create_task(self._visitor()), asyncio.create_task(self._watch())]
        try:
            await self._send_all(time.monotonic() + seconds / 2)
            self.found.halfway = await self._settled()
            await self._send_all(time.monotonic() + seconds / 2)
        except* (TimeoutError, OSError, RuntimeError) as errors:
            self._fault(f"a page was not answered: {errors.exceptions!r}")
        finally:
            for task in beside:
                task.cancel()
            for error in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(error, Exception):
                    self._fault(f"a well-behaved visitor was disturbed: {error!r}")
        self.found.after = await self._settled()
        self._judge(first_line)
        if self.found.faults:
            (self._save / "server.log").write_text(self._server.log + "\n")

    async def replay(self, number: int) -> None:
        """That input alone."""
        sent = input_of(f"{self._seed}:{number}", await self._page())
        self._recent.append((number, sent))
        await self._send(sent)
        self._look_at_log()

    async def _warm_up(self) -> None:
        for _ in range(5):
            await self._page()
        await asyncio.sleep(3)

    async def _send_all(self, until: float) -> None:
        page = await self._page()
        async with asyncio.TaskGroup() as sending:
            while time.monotonic() < until and self._server.running:
                self._number += 1
                if self._number % INPUTS_PER_PAGE == 0:
                    page = await self._page()
                sent = input_of(f"{self._seed}:{self._number}", page)
                await self._room.acquire()
                self._recent.append((self._number, sent))
                sending.create_task(self._one(sent))
                self._look_at_log()
                await asyncio.sleep(self._pause)

    async def _one(self, sent: Input) -> None:
        try:
            self.found.inputs[sent.kind] += 1
            await self._send(sent)
        finally:
            self._room.release()

    async def _page(self) -> Page:
        """A new page, and what its Document has."""
        app = APP.stem
        token = page_token(await get(self._server.port, f"/{app}"))
        tab = Tab(self._server.port, app, token)
        try:
            async with asyncio.timeout(HANGING_SECONDS):
                await tab.connect(pull=False)
                document = await tab.pull_parsed()
        finally:
            tab.close()
        return Page(self._server.host, app, token, dict(_named(document)), document)

    async def _send(self, sent: Input) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    if sent.upgrade:
                        writer.write(sent.upgrade)
                        self._answered(await reader.readuntil(b"\r\n\r\n"))
                    for chunk in sent.chunks:
                        writer.write(chunk)
                        await writer.drain()
                        await asyncio.sleep(0)
                    await self._read(reader, sent)
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, sent: Input) -> None:
        """Until the server closes, or has nothing more to say."""
        first = True
        with suppress(TimeoutError):
            while data := await asyncio.wait_for(reader.read(1 << 16), IDLE_SECONDS):
                if first and not sent.upgrade:
                    self._answered(data)
                first = False

    def _answered(self, data: bytes) -> None:
        status = STATUS.match(data)
        if status is None:
            self.found.answers["no status"] += 1
            return
        self.found.answers[status[1].decode()] += 1
        if status[1] >= b"500":
            self._fault(f"answered with {data[:200]!r}")

    # -- beside ----------------------------------------------------------------------------------

    async def _visitor(self) -> None:
        """Has to be served all the time."""
        tab = await Tab.open(self._server.port, APP.stem, pull=False)
        await tab.pull_parsed()
        value = 0
        while True:
            value += 1
            tab.set(tab.id_of("slider"), "value", value % 100)
            async with asyncio.timeout(HANGING_SECONDS):
                await tab.reply()
            self.found.good_moves += 1
            await asyncio.sleep(0.3)

    async def _watch(self) -> None:
        while True:
            self.found.peak = max(self.found.peak, _resident(self._server))
            await asyncio.sleep(0.2)

    async def _settled(self) -> int:
        """Sessions end but for the visitor's, and their memory is given back; what is in use then."""
        now = time.monotonic()
        until, since, line = now + SETTLE_SECONDS, now, len(self._server.lines)
        while now < until and now - since < STILL_SECONDS and self._server.running:
            await asyncio.sleep(1)
            now = time.monotonic()
            if await self._sessions() > 1:
                since, line = now, len(self._server.lines)
            elif any(COLLECTED in each for each in self._server.lines[line:]):
                break
        return _resident(self._server)

    async def _sessions(self) -> float:
        metrics = await asyncio.to_thread(read_metrics, self._server)
        return metrics["svc_sessions"] if metrics else 0

    # -- judging ---------------------------------------------------------------------------------

    def _judge(self, first_line: int) -> None:
        self._look_at_log()
        found = self.found
        if not self._server.running:
            self._fault(f"the server ended with {self._server.exit_code}: {self._server.tail(10)}")
            return
        found.lines = len(self._server.lines) - first_line
        for fault in faults_of_memory(found):
            self._fault(fault)
        if found.lines > LINES_PER_INPUT * found.inputs.total() + 100:
            self._fault(f"{found.lines} log lines about {found.inputs.total()} inputs")

    def _look_at_log(self) -> None:
        lines = self._server.lines
        while self._lines_read < len(lines):
            line = lines[self._lines_read]
            self._lines_read += 1
            if FAULT.search(line):
                self._fault(f"logged: {line}")

    def _fault(self, text: str) -> None:
        """Note it, with the inputs before it and the end of the log."""
        self.found.faults.append(text)
        self._save.mkdir(parents=True, exist_ok=True)
        path = self._save / f"wire-{self._seed}-{len(self.found.faults)}.txt"
        sent = [f"{number} {each.kind} {each.upgrade!r} {each.chunks!r}" for number, each in self._recent]
        path.write_text("\n".join([text, "", self._server.tail(60), "", "inputs before it:", *sent]) + "\n")


def faults_of_memory(found: Findings) -> list[str]:
    """What is wrong with what was in use, in words."""
    bounds = {
        "it was {before} before, and at most": (found.peak, found.before + PEAK_BYTES),
        "it was {before} before, and is when all is over": (found.after, found.before + LEFT_BYTES),
        "it was {halfway} after the first half, and is after the second": (
            found.after, found.halfway + GROWTH_BYTES
        ),
    }  # fmt: skip
    return [
        f"memory: {what.format(before=found.before, halfway=found.halfway)} {used}, which may be {most} bytes"
        for what, (used, most) in bounds.items()
        if used > most
    ]


def _resident(server: Replica) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096
    return 0


def _named(value: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if isinstance(value, dict):
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and isinstance(attributes.get("name"), str):
            found.append((attributes["name"], value["id"]))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            found += _named(each)
    return found
