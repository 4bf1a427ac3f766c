"""An app with jobs whose steps a test lets happen one by one, and a `svc worker` for it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from devfleet.processes import Process

from harness.client import Client

WORK = """
import asyncio, os, time
from pathlib import Path
from service import fleet

HERE = Path(__file__).parent

def note(what):
    with open(HERE / "notes", "a") as notes:
        notes.write(f"{what} {os.getpid()} {fleet.current_job().fence}\\n")

@fleet.job(attempts=5)
def steps(name):
    note(f"begin {name}")
    done = 0
    while done < 10:
        fleet.progress(done / 10, f"{name} {done}")
        allowed = HERE / f"{name}.allowed"
        if allowed.exists() and int(allowed.read_text() or 0) > done:
            done += 1
        time.sleep(0.01)
    note(f"end {name}")
    return {"name": name, "done": done, "data": b"\\0\\1"}

@fleet.job
async def waits(name):
    note(f"begin {name}")
    await asyncio.sleep(0)
    fleet.progress(0.5, name)
    return [name]

@fleet.job(attempts=2)
def dies(name):
    note(f"begin {name}")
    os.kill(os.getpid(), 9)

@fleet.job
def fails(name):
    raise ValueError(f"no {name}")

@fleet.job(retry=(OSError,))
def flaky(name):
    note(f"begin {name}")
    if fleet.current_job().attempt == 1:
        raise OSError("away")
    return fleet.current_job().attempt

@fleet.job(time_limit=0.5)
def endless(name):
    while True:
        pass

@fleet.job(time_limit=0.5, attempts=1)
def unstoppable(name):
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass

@fleet.job
def shares(name):
    return fleet.shared("board").update(name, lambda n: n + 1, default=0)

@fleet.job
def odd(name):
    return object()

def unmarked(name):
    note("unmarked")
"""

MAIN = """
import asyncio, json
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet, session_state
import work

bar, told, state = Div(name="bar", text=""), Div(name="told", text="[]"), Div(name="state", text="")
do = TextInput(name="do", value="")

def follow(job):
    job.on_progress(lambda fraction, text: setattr(bar, "text", f"{fraction:.1f} {text}"))
    job.on_done(done)

def done(job):
    told.text = json.dumps([*json.loads(told.text), [job.id, job.state, repr(job.result), job.error]])

async def start(name, argument):
    try:
        job = await fleet.asubmit(getattr(work, name), argument)
        follow(job)
        state.text = job.id
    except Exception as error:
        state.text = f"{type(error).__name__}: {error}"

async def once(name, argument):
    job = await fleet.asubmit_once(argument, getattr(work, name), argument)
    follow(job)
    state.text = job.id

async def many(name, argument):
    for made in range(60):
        for job in await asyncio.gather(*(fleet.asubmit(getattr(work, name), argument) for _ in range(2))):
            job.on_done(done)
    state.text = "many"

async def cancel(job_id):
    state.text = repr(await fleet.find_job(job_id).acancel())

def asked(attr, old, new):
    what, *arguments = new.split(" ")
    action = {"start": start, "once": once, "cancel": cancel, "many": many}[what]
    curdoc().add_next_tick_callback(lambda: action(*arguments))

for job in fleet.jobs():
    follow(job)
do.on_change("value", asked)
for root in (bar, told, state, do):
    curdoc().add_root(root)
"""


class JobsApp:
    """The app's directory, and what its jobs have left there."""

    def __init__(self, folder: Path, name: str = "computing") -> None:
        self.path = folder / name
        self.path.mkdir()
        (self.path / "work.py").write_text(WORK)
        (self.path / "main.py").write_text(MAIN)

    def allow(self, name: str, steps: int = 10) -> None:
        """Let the job of that name go so many steps."""
        new = self.path / f"{name}.new"
        new.write_text(str(steps))
        new.rename(self.path / f"{name}.allowed")

    @property
    def notes(self) -> list[tuple[str, int, int]]:
        """What the jobs have noted, with process and fencing number."""
        path = self.path / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(what, int(pid), int(fence)) for what, pid, fence in (line.rsplit(" ", 2) for line in lines)]

    def noted(self, what: str, count: int = 1, timeout: float = 60) -> list[tuple[str, int, int]]:
        """Once that was noted so often."""
        deadline = time.monotonic() + timeout
        while len(found := [each for each in self.notes if each[0] == what]) < count:
            assert time.monotonic() < deadline, f"{what!r} was not noted {count} times: {self.notes}"
            time.sleep(0.02)
        return found


class Worker(Process):
    """`svc worker`."""

    def __init__(
        self, app: Path, redis_url: str, *, name: str = "worker", args: tuple[str, ...] = ()
    ) -> None:
        svc = Path(sys.executable).with_name("svc")
        super().__init__(name, [svc, "worker", app, "--redis", redis_url, *args])

    def ready(self) -> Worker:
        """Returns when it runs jobs."""
        self.wait_line("runs [0-9]+ jobs at once", 60)
        return self


class Tab:
    """A client of the app."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._asked = ""

    @classmethod
    async def open(cls, url: str) -> Tab:
        return cls(await Client.open(url, timeout=60))

    async def do(self, what: str) -> str:
        """What the app's answer is; for `start` the job's id."""
        before = self.state
        await self.client.patch("do", value=what)
        await self.client.expect(lambda _: self.state != before)
        return self.state

    async def expect_bar(self, text: str) -> None:
        await self.client.expect(lambda _: self.bar == text)

    async def expect_told(self, *outcomes: tuple[str, str]) -> None:
        """States and results, in order."""
        await self.client.expect(lambda _: [(each[1], each[2]) for each in self.told] == list(outcomes))

    @property
    def bar(self) -> str:
        return str(self.client.value("bar", "text"))

    @property
    def told(self) -> list[list[Any]]:
        return list(json.loads(self.client.value("told", "text")))

    @property
    def state(self) -> str:
        return str(self.client.value("state", "text"))
