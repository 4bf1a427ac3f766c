"""Jobs of a fleet whose replicas and workers are killed, frozen and drained; and when Redis loses data."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.jobs import JobsApp, Tab, Worker

RESULT = repr({"name": "x", "done": 10, "data": b"\0\1"})

StartWorker = Callable[..., Awaitable[Worker]]

EXITS = """
import sys
from service import fleet
sys.exit(4)

@fleet.job
def waits(name):
    pass
"""

LATE = """
import sys, time
from pathlib import Path
from service import fleet

while "worker" in sys.argv and not Path(__file__).with_name("late.allowed").exists():
    time.sleep(0.01)

@fleet.job
def late(name):
    return name
"""


@pytest.fixture
def app(tmp_path: Path) -> JobsApp:
    return JobsApp(tmp_path)


@pytest.fixture(params=["16", "0"], ids=["threads", "loop"])
def fleet(start_fleet: Callable[..., Fleet], app: JobsApp, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Replicas that run no jobs themselves, with app code on threads and on the event loop."""
    started = start_fleet([app.path], n=2, args=["--jobs", "0", "--app-threads", request.param])
    yield started
    started.stop()


@pytest.fixture
def threads(start_fleet: Callable[..., Fleet], app: JobsApp) -> Iterator[Fleet]:
    started = start_fleet([app.path], n=2, args=["--jobs", "0"])
    yield started
    started.stop()


@pytest.fixture
def worker(app: JobsApp) -> Iterator[StartWorker]:
    with ExitStack() as started:

        async def start(fleet: Fleet, name: str = "worker", **options: object) -> Worker:
            made = Worker(app.path, fleet.redis.url, name=name, **options)  # type: ignore[arg-type]
            started.callback(made.stop)
            made.start()  # on this thread: on another the kernel would not end it with us
            return await asyncio.to_thread(made.ready)

        yield start


def svc(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("svc")), *arguments]
    return subprocess.check_output(command, text=True)


async def test_progress_goes_on_after_its_replica_and_its_worker_were_killed(
    fleet: Fleet, app: JobsApp, worker: StartWorker
) -> None:
    first = await worker(fleet)
    owner, other = fleet.replicas
    tab = await Tab.open(owner.app_url())
    job_id = await tab.do("start steps x")
    app.allow("x", 2)
    await tab.expect_bar("0.2 x 2")

    owner.kill()
    app.allow("x", 4)
    tab.client.url = other.app_url()
    await tab.client.reconnect()
    await tab.expect_bar("0.4 x 4")

    first.kill()
    await worker(fleet, "second")
    app.allow("x", 5)
    await tab.expect_bar("0.5 x 5")
    app.allow("x")
    await tab.expect_told(("done", RESULT))

    (_, _, before), (_, _, after) = app.noted("begin x")
    assert after > before
    assert [what for what, *_ in app.notes].count("end x") == 1
    assert tab.told[0][0] == job_id
    await tab.client.close()


async def test_a_result_is_found_by_who_comes_back(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    await worker(threads)
    left = await Tab.open(threads.replicas[0].app_url())
    job_id = await left.do("once steps x")
    await left.client.close()
    app.allow("x")
    await asyncio.to_thread(app.noted, "end x")

    back = await Tab.open(threads.replicas[1].app_url())
    assert await back.do("once steps x") == job_id
    await back.expect_told(("done", RESULT))

    assert len(app.noted("begin x")) == 1
    await back.client.close()


async def test_a_session_is_told_once_also_where_it_moves(
    threads: Fleet, app: JobsApp, worker: StartWorker
) -> None:
    await worker(threads)
    owner, other = threads.replicas
    tab = await Tab.open(owner.app_url())
    await tab.do("start fails y")
    await tab.expect_told(("failed", "None"))
    assert tab.told[0][3] == "ValueError: no y"
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    await asyncio.to_thread(owner.terminate)
    await asyncio.to_thread(owner.wait)
    app.allow("x")
    await asyncio.to_thread(app.noted, "end x")

    tab.client.url = other.app_url()
    await tab.client.reconnect()

    await tab.expect_told(("failed", "None"), ("done", RESULT))
    assert len(app.noted("begin x")) == 1
    await tab.client.close()


async def test_cancelling_stops_the_function(fleet: Fleet, app: JobsApp, worker: StartWorker) -> None:
    running = await worker(fleet)
    tab, other = await Tab.open(fleet.replicas[0].app_url()), await Tab.open(fleet.replicas[1].app_url())
    job_id = await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")

    assert await other.do(f"cancel {job_id}") == "True"

    await tab.expect_told(("cancelled", "None"))
    await asyncio.to_thread(running.wait_line, "was stopped: the job was cancelled")
    assert await tab.do("start waits z")
    await tab.expect_told(("cancelled", "None"), ("done", "['z']"))
    await asyncio.gather(tab.client.close(), other.client.close())


async def test_what_becomes_of_jobs_that_go_wrong(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    await worker(threads)
    tab = await Tab.open(threads.app_url())
    for name in ("flaky", "endless", "odd", "shares"):
        await tab.do(f"start {name} x")
        await tab.client.expect(lambda _, name=name: len(tab.told) == 1 + tab_index(name))
    refused = await tab.do("start unmarked x")

    assert [each[1:] for each in tab.told] == [
        ["done", "2", ""],
        ["failed", "None", "it took longer than its time limit of 0.5 s"],
        ["failed", "None", "its result cannot be kept: can not serialize 'object' object"],
        ["done", "1", ""],
    ]
    assert (
        refused == "TypeError: unmarked is no job: put it into a module of the app, and @fleet.job before it"
    )
    await tab.client.close()


def tab_index(name: str) -> int:
    return ["flaky", "endless", "odd", "shares"].index(name)


async def test_a_job_that_kills_its_workers_ends(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    tab = await Tab.open(threads.app_url())
    await tab.do("start dies x")
    for attempt in range(2):
        victim = await worker(threads, f"victim {attempt}")
        await asyncio.to_thread(victim.wait)
    await worker(threads, "survivor")

    await tab.expect_told(("failed", "None"))
    assert tab.told[0][3] == "it was begun 2 times, and its worker has died each time"
    await tab.client.close()


async def test_a_frozen_worker_writes_nothing_over_who_has_replaced_it(
    threads: Fleet, app: JobsApp, worker: StartWorker
) -> None:
    frozen = await worker(threads)
    tab = await Tab.open(threads.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    frozen.pause()
    await worker(threads, "second")
    await asyncio.to_thread(app.noted, "begin x", 2)
    app.allow("x", 3)
    await tab.expect_bar("0.3 x 3")

    frozen.resume()

    await asyncio.to_thread(frozen.wait_line, "was stopped: another worker runs the job by now")
    app.allow("x")
    await tab.expect_told(("done", RESULT))
    await tab.client.close()


async def test_a_drained_worker_hands_back_what_does_not_end(
    threads: Fleet, app: JobsApp, worker: StartWorker
) -> None:
    draining = await worker(threads, args=("--drain-timeout", "4"))
    tab = await Tab.open(threads.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    await worker(threads, "second")

    draining.terminate()
    assert await asyncio.to_thread(draining.wait) == 0
    await asyncio.to_thread(app.noted, "begin x", 2)
    app.allow("x")

    await tab.expect_told(("done", RESULT))
    (job,) = json.loads(await asyncio.to_thread(svc, "jobs", "--redis", threads.redis.url, "--json"))
    assert (job["state"], job["attempt"], job["attempts"]) == ("done", 1, 5)
    await tab.client.close()


async def test_a_drained_worker_lets_a_job_end(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    draining = await worker(threads)
    tab = await Tab.open(threads.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    draining.terminate()
    await asyncio.to_thread(draining.wait_line, "waiting for 1 jobs")
    app.allow("x")

    assert await asyncio.to_thread(draining.wait) == 0
    await tab.expect_told(("done", RESULT))
    await tab.client.close()


async def test_a_job_that_does_not_stop_ends_its_worker(threads: Fleet, worker: StartWorker) -> None:
    left = await worker(threads)
    tab = await Tab.open(threads.app_url())
    await tab.do("start unstoppable x")

    await tab.expect_told(("failed", "None"))
    assert await asyncio.to_thread(left.wait) == 1
    await tab.client.close()


async def test_a_replica_goes_on_with_the_jobs_of_one_that_was_killed(
    start_fleet: Callable[..., Fleet], app: JobsApp
) -> None:
    fleet = start_fleet([app.path], n=2)
    tab = await Tab.open(fleet.replicas[0].app_url())
    await tab.do("start steps x")
    app.allow("x", 2)
    await tab.expect_bar("0.2 x 2")
    ((_, pid, _),) = app.noted("begin x")
    victim = next(each for each in fleet.replicas if each.pid == pid)
    (survivor,) = fleet.others(victim)

    victim.kill()
    if victim is fleet.replicas[0]:
        tab.client.url = survivor.app_url()
        await tab.client.reconnect()
    await asyncio.to_thread(app.noted, "begin x", 2)
    app.allow("x")

    await tab.expect_told(("done", RESULT))
    await tab.client.close()
    fleet.stop()


async def test_a_session_that_slept_is_told_when_it_wakes_up(
    start_fleet: Callable[..., Fleet], app: JobsApp, worker: StartWorker
) -> None:
    main = app.path / "main.py"
    main.write_text("sleep_when_idle = True\n" + main.read_text())
    asleep = ["--hibernate-after", "0.5", "--check-unused-sessions", "100", "--log-level", "debug"]
    fleet = start_fleet([app.path], n=1, args=["--jobs", "0", *asleep])
    await worker(fleet)
    tab = await Tab.open(fleet.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    await asyncio.to_thread(fleet.replicas[0].wait_line, "hibernates")
    app.allow("x")
    while "done" not in await asyncio.to_thread(svc, "jobs", "--redis", fleet.redis.url):
        pass

    await tab.client.patch("do", value="cancel nothing")

    await tab.expect_told(("done", RESULT))
    await tab.client.close()
    fleet.stop()


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("", "there is no such function"),
        (EXITS, r"importing its module failed: Exited: app code raised SystemExit\(4\)"),
    ],
    ids=["another version", "its module ends the process"],
)
async def test_functions_that_a_worker_does_not_have_are_left_to_others(
    threads: Fleet, app: JobsApp, worker: StartWorker, tmp_path: Path, module: str, why: str
) -> None:
    (tmp_path / "old").mkdir()
    old = JobsApp(tmp_path / "old")
    (old.path / "work.py").write_text(module)
    with Worker(old.path, threads.redis.url, name="old") as of_old:
        tab = await Tab.open(threads.app_url())
        await tab.do("start waits y")
        await asyncio.to_thread(of_old.wait_line, f"cannot run the job work:waits: {why}")
        await worker(threads)

        await tab.expect_told(("done", "['y']"))
        await tab.client.close()


async def test_jobs_go_on_while_the_module_of_another_is_imported(
    start_fleet: Callable[..., Fleet], app: JobsApp, worker: StartWorker
) -> None:
    (app.path / "late.py").write_text(LATE)
    main = app.path / "main.py"
    main.write_text(f"{main.read_text()}\nimport late\nwork.late = late.late\n")
    fleet = start_fleet([app.path], n=1, args=["--jobs", "0"])
    await worker(fleet, args=("--jobs", "2"))
    tab = await Tab.open(fleet.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    await tab.do("start late y")
    for done in range(1, 8):  # a tenth of a second each at least: the worker has looked for other jobs
        app.allow("x", done)
        await tab.expect_bar(f"0.{done} x {done}")
    assert tab.told == []

    app.allow("late")

    await tab.expect_told(("done", "'y'"))
    app.allow("x")
    await tab.expect_told(("done", "'y'"), ("done", RESULT))
    await tab.client.close()
    fleet.stop()


async def test_redis_loses_its_data(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    """What runs goes on, and sessions are told that what was queued is lost."""
    await worker(threads)
    tab = await Tab.open(threads.app_url())
    running = await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    queued = await tab.do("start steps y")

    threads.redis.command("FLUSHALL")

    await tab.client.expect(lambda _: [each[:2] for each in tab.told] == [[queued, "lost"]])
    app.allow("x")
    await tab.client.expect(
        lambda _: [each[:2] for each in tab.told] == [[queued, "lost"], [running, "done"]]
    )
    await tab.client.close()


async def test_a_worker_says_when_redis_is_away_and_when_it_is_back(
    threads: Fleet, app: JobsApp, worker: StartWorker
) -> None:
    running = await worker(threads)
    threads.redis.pause()
    await asyncio.to_thread(running.wait_line, "no job is begun, as the store is away: ")
    threads.redis.resume()
    await asyncio.to_thread(running.wait_line, "the store is back: jobs are begun again")

    assert len(running.matching("away")) == 1
    tab = await Tab.open(threads.app_url())
    await tab.do("start waits z")
    await tab.expect_told(("done", "['z']"))
    await tab.client.close()


async def test_svc_jobs_lists_and_cancels(threads: Fleet, app: JobsApp, worker: StartWorker) -> None:
    await worker(threads)
    tab = await Tab.open(threads.app_url())
    job_id = await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    redis = ("--redis", threads.redis.url)

    table = await asyncio.to_thread(svc, "jobs", *redis, "--unfinished")
    said = await asyncio.to_thread(svc, "jobs", *redis, "--cancel", job_id[:10])
    (job,) = json.loads(await asyncio.to_thread(svc, "jobs", *redis, "--json"))

    assert table.splitlines()[0].split()[:6] == ["JOB", "APP", "FUNCTION", "STATE", "ATTEMPT", "WORKER"]
    assert table.splitlines()[1].split()[:5] == [job_id[:8], "/computing", "work:steps", "running", "1/5"]
    assert table.splitlines()[-1] == "1 job"
    assert said == f"{job_id} is cancelled\n"
    assert (job["job"], job["state"]) == (job_id, "cancelled")
    await tab.expect_told(("cancelled", "None"))
    await tab.client.close()
