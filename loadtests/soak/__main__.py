"""`make soak`: visitors who come and go for an hour, replicas that die meanwhile, and whether anything grew.

Two places at once: replicas on a real Redis behind nginx, of which one after the other is killed, terminated,
frozen or loses its connections to Redis, and one process on its embedded store. After a warm-up everybody
leaves for a moment, and again at the end; memory, descriptors, tasks, threads and keys have to be the same
then, and flat in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from loadtests.soak.flat import Readings, Row, compared, table, under_load
from loadtests.soak.guests import Guest
from loadtests.soak.places import FleetPlace, Place, SinglePlace

LOOK_SECONDS = 10.0
"""Between two readings."""

WARM_UP = 0.15
"""Share of the time that is not judged: caches fill, pools grow."""

QUIET_SECONDS = 120.0
"""Within which all that visitors leave behind must be gone."""

STILL_SECONDS = 20.0
"""That nothing must change for before it counts as quiet: longer than a session is retained."""

TROUBLE_SECONDS = 60.0
"""Between two troubles."""


class Soak:
    """Visitors on ``places``, and a record of what their processes held."""

    def __init__(self, places: Sequence[Place], *, visitors: int, think: float, trouble: float) -> None:
        self.places = places
        self.samples: dict[str, list[tuple[float, Readings]]] = {}
        self.quiet: list[dict[str, Readings]] = []
        self.lasting_keys: list[set[str]] = []
        """At the same times."""
        self._visitors, self._mean_think, self._trouble = visitors, think, trouble
        self._began = time.monotonic()
        self._cpu = CpuMeter()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    async def run_for(self, seconds: float) -> None:
        """Load and trouble, then quiet."""
        leaving = asyncio.Event()
        until = self.now + seconds
        guests = [
            asyncio.create_task(self._guests(place, leaving))
            for place in self.places
            for _ in range(self._visitors)
        ]
        others = [
            asyncio.create_task(self._look_on()),
            asyncio.create_task(self._make_trouble(leaving, until)),
        ]
        try:
            await asyncio.sleep(seconds)
            leaving.set()
            await asyncio.gather(*guests, others[1])
        finally:
            for task in (*guests, *others):
                task.cancel()
            await asyncio.gather(*guests, *others, return_exceptions=True)
        await self._be_quiet()

    async def _guests(self, place: Place, leaving: asyncio.Event) -> None:
        while not leaving.is_set():
            await Guest(place.port, place.choose_app(), self._think, place.tally).visit()
            await asyncio.sleep(self._think())

    def _think(self) -> float:
        return random.uniform(0.5, 1.5) * self._mean_think

    async def _make_trouble(self, leaving: asyncio.Event, until: float) -> None:
        while not leaving.is_set() and self.now + self._trouble < until:
            await asyncio.sleep(self._trouble)
            for place in self.places:
                if what := await place.trouble():
                    _say(f"{self.now:6.0f} s  {what}")

    async def _look_on(self) -> None:
        said = self.now
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            readings = await self._read()
            for process, found in readings.items():
                self.samples.setdefault(process, []).append((self.now, found))
            if self.now - said > TROUBLE_SECONDS:
                said = self.now
                self._progress(readings)

    async def _read(self) -> dict[str, Readings]:
        found: dict[str, Readings] = {}
        for place in self.places:
            found |= await asyncio.to_thread(place.read)
        return found

    async def _be_quiet(self) -> None:
        """Wait until nobody's traces are left, and read."""
        until, since, before = self.now + QUIET_SECONDS, self.now, await self._read()
        while self.now < until and self.now - since < STILL_SECONDS:
            await asyncio.sleep(2)
            readings = await self._read()
            if not _settled(readings) or _counts(readings) != _counts(before):
                since, before = self.now, readings
        self.quiet.append(before)
        self.lasting_keys.append({key for place in self.places for key in place.lasting_keys()})

    def _progress(self, readings: dict[str, Readings]) -> None:
        cores = self._cpu.since_last([process.pid for place in self.places for process in place.processes()])
        shown = ", ".join(f"{name} {found['memory'] / 2**20:.0f} MB" for name, found in readings.items()
                          if "memory" in found)  # fmt: skip
        visits = sum(place.tally.visits.total() for place in self.places)
        _say(f"{self.now:6.0f} s  {visits} visits  {cores:.2f} cores  {shown}")

    # -- the end -------------------------------------------------------------------------------

    def rows(self, since: float) -> list[Row]:
        rows: list[Row] = []
        for process, samples in self.samples.items():
            rows += under_load(process, samples, since)
            rows += compared(process, "quiet", self.quiet[0][process], self.quiet[-1][process])
        return rows

    def wrong(self) -> list[str]:
        return [
            f"{place.name}: {each}"
            for place in self.places
            for each in (*place.tally.wrong, *place.log_faults())
        ]


class CpuMeter:
    """Cores in use by some processes and by us."""

    def __init__(self) -> None:
        self._before: dict[int, float] = {}
        self._own = time.process_time()
        self._at = time.monotonic()

    def since_last(self, pids: Sequence[int]) -> float:
        now = {pid: seconds for pid in pids if (seconds := _cpu_seconds(pid)) is not None}
        own, at = time.process_time(), time.monotonic()
        used = own - self._own + sum(s - self._before.get(pid, 0.0) for pid, s in now.items())
        cores = used / (at - self._at)
        self._before, self._own, self._at = now, own, at
        return cores


def _cpu_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _settled(readings: dict[str, Readings]) -> bool:
    return all(found.get("sessions", 0) == 0 for found in readings.values())


def _counts(readings: dict[str, Readings]) -> list[tuple[str, float, float]]:
    return [(name, found.get("keys", 0), found.get("sessions", 0)) for name, found in readings.items()]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.minutes <= 0:
        raise SystemExit("soak: --minutes has to be more than 0")
    os.nice(10)
    random.seed(options.seed)
    command = shlex.join(["python", "-m", "loadtests.soak", *(sys.argv[1:] if argv is None else argv)])
    try:
        return asyncio.run(_run(options, command))
    except asyncio.CancelledError:
        _say("stopped before the end: there is no verdict")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    minutes = float(os.environ.get("SOAK_MINUTES") or 60)
    add("--minutes", type=float, default=minutes, metavar="N",
        help="in all (default: 60, or what SOAK_MINUTES says)")  # fmt: skip
    add("--visitors", type=int, default=6, metavar="N", help="at a time and place (default: %(default)s)")
    add("--replicas", type=int, default=3, metavar="N", help="of the fleet (default: %(default)s)")
    add("--think", type=float, default=2.0, metavar="SECONDS", help="between changes (default: %(default)s)")
    add("--trouble", type=float, default=TROUBLE_SECONDS, metavar="SECONDS",
        help="between two of kill, terminate, freeze, Redis cut (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=None, help="for what visitors do and whom trouble hits")
    add("--report", type=Path, default=Path("build/soak"), metavar="FOLDER", help="default: %(default)s")
    return parser


async def _run(options: argparse.Namespace, command: str) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    places: list[Place] = [FleetPlace(options.replicas), SinglePlace()]
    seconds = 60 * options.minutes
    async with AsyncExitStack() as started:
        for place in places:
            started.push_async_callback(place.stop)
            await place.start()
        names = ", ".join(place.name for place in places)
        _say(f"{options.visitors} visitors each on {names}: {options.minutes:g} minutes")
        soak = Soak(places, visitors=options.visitors, think=options.think, trouble=options.trouble)
        await soak.run_for(WARM_UP * seconds)
        since = soak.now
        _say(f"{since:6.0f} s  warm; what was read when all was quiet is what the end is compared with")
        await soak.run_for(seconds - since)
        rows, wrong = soak.rows(since), soak.wrong()
    return _finish(options, command, soak, rows, wrong)


def _finish(options: argparse.Namespace, command: str, soak: Soak, rows: list[Row], wrong: list[str]) -> int:
    grown = [row for row in rows if not row.flat]
    lines = [command, "", table(rows), ""]
    lines += [f"{place.name}: {place.tally}" for place in soak.places]
    lines.append(f"{len(wrong)} things went wrong; " + (f"{len(grown)} GROW" if grown else "all is flat"))
    lines += [f"  {each}" for each in wrong[:20]]
    lines += [f"  a lasting key more: {key}" for key in sorted(soak.lasting_keys[-1] - soak.lasting_keys[0])]
    options.report.mkdir(parents=True, exist_ok=True)
    (options.report / "soak.txt").write_text("\n".join(lines) + "\n")
    found = {"rows": [asdict(row) for row in rows], "wrong": wrong}
    found |= {"samples": soak.samples, "quiet": soak.quiet}
    (options.report / "soak.json").write_text(json.dumps(found) + "\n")
    _say("\n".join(["", *lines, f"report: {options.report}/soak.txt, soak.json"]))
    return 1 if grown or wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
