"""How long a job takes that does nothing, and how old what a page sees of its progress is."""

from __future__ import annotations

import re
import time
from statistics import median

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG
from loadtests.bench.scenario import APPS, Measures, Row, Scale, Scenario, Upto
from loadtests.bench.servers import OURS, Side

__all__ = ("SCENARIOS",)

_REPORTED = re.compile(rb"at ([0-9.]+) of")


async def jobs(side: Side, scale: Scale) -> Measures:
    """From the move of a slider, which submits a job, until its page has the result: one after the other."""
    tab = await Tab.open(side.port, "jobs")
    await tab.pull_parsed()
    await _done(tab, "nothing", 1)  # the store's thread begins, and the module is imported
    count, seconds = scale.count(40, 5), list[float]()
    cpu = side.cpu_seconds()
    for number in range(2, 2 + count):
        began = time.perf_counter()
        await _done(tab, "nothing", number)
        seconds.append(time.perf_counter() - began)
    cost = (side.cpu_seconds() - cpu) / count
    ages: list[float] = []
    for number in range(1, 1 + scale.count(4, 1)):
        ages += await _done(tab, "reports", number)
    tab.close()
    seconds.sort()
    return {
        "job50": median(seconds) * 1000,
        "job95": seconds[int(len(seconds) * 0.95)] * 1000,
        "job_cpu": cost * 1000,
        "job_progress": median(ages) * 1000,
    }


async def _done(tab: Tab, slider: str, number: int) -> list[float]:
    """How old the reports were that came until it was done."""
    ages, due = list[float](), b"done %d" % number
    tab.set(tab.id_of(slider), "value", number)
    while due not in (content := (await tab.message())[2]):
        if found := _REPORTED.search(content):
            ages.append(time.time() - float(found[1]))
    return ages


SCENARIOS = [
    Scenario(
        "jobs",
        [
            Row(
                "job50",
                "a job that does nothing, from its click to its result on the page, median",
                "ms",
                Upto(250, "ms"),
            ),
            Row("job95", "the same, p95", "ms"),
            Row("job_cpu", "the same: CPU time per job", "ms"),
            Row("job_progress", "age of what a page sees of a job's progress, median", "ms", Upto(250, "ms")),
        ],
        jobs,
        apps=[APPS / "jobs"],
        args=LONG,
        rounds=3,
        sides=(OURS,),
    ),
]
