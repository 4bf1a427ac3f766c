"""The long run of faults: a fleet, users who keep using it, and everything that can happen to both.

`make chaos` runs this. It prints what each fault did to the users as it goes, writes a report, and fails if
anything that was acknowledged got lost. Everything is on loopback and gone at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devchaos.arena import Arena
from devchaos.checker import Verdict, judge
from devchaos.faults import FAULTS, MISSING, kill
from devchaos.islands import no_namespaces
from devchaos.ticking import task_storm
from devchaos.visitor import APP, PANEL_APPS, SLOW_APP, Move, Stuck

STORM = "kill storm"
TASKS = "task storm"
SETTLED = 90.0
"""Seconds within which everybody must be able to go on after a fault."""


@dataclass
class Round:
    """What one fault did to the users."""

    fault: str
    seconds: float
    moves: int
    slowest: float
    problems: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    random.seed(options.seed)
    return asyncio.run(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--visitors", type=int, default=60, metavar="N", help="users at a time (default: %(default)s)")
    add("--replicas", type=int, default=3, metavar="N", help="replicas (default: %(default)s)")
    add("--durability", default="interval", choices=("interval", "sync"), help="default: %(default)s")
    add("--app-threads", metavar="N", help="as of svc serve, for all replicas")
    add("--storm", type=float, default=120, metavar="SECONDS", help="of killing (default: %(default)s)")
    add("--every", type=float, default=5, metavar="SECONDS", help="between kills (default: %(default)s)")
    add("--task-storm", type=float, default=300, metavar="SECONDS",
        help="of killing five replicas with a task that ticks (default: %(default)s)")  # fmt: skip
    add(
        "--only", nargs="*", choices=[STORM, *FAULTS, TASKS], metavar="FAULT", help="some faults: %(choices)s"
    )
    add("--slack", type=float, default=0.5, metavar="SECONDS",
        help="that a write may take beyond its interval (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=None, help="for the choice of victims")
    add("--report", type=Path, default=Path("build/chaos"), metavar="FOLDER", help="default: %(default)s")
    return parser


async def _run(options: argparse.Namespace) -> int:
    chosen = options.only or [STORM, *FAULTS, TASKS]
    chosen = [name for name in chosen if _possible(name)]
    rounds = [await _task_round(options)] if TASKS in chosen else []
    chosen = [name for name in chosen if name != TASKS]
    verdict = await _with_users(chosen, rounds, options) if chosen else judge([], interval=None)
    _say(f"\n{verdict}")
    for problem in verdict.problems[:20]:
        _say(f"  {problem}")
    _write(options, rounds, verdict)
    return 1 if verdict.problems or any(each.problems for each in rounds) else 0


async def _with_users(chosen: Sequence[str], rounds: list[Round], options: argparse.Namespace) -> Verdict:
    """One round per fault, while users are at work."""
    arena = Arena(
        visitors=options.visitors,
        replicas=options.replicas,
        durability=options.durability,
        slack=options.slack,
        proxied="replies lost" in chosen,
        island=_island() if "partition" in chosen else "",
        args=[] if options.app_threads is None else ["--app-threads", options.app_threads],
        users_of=[APP, *PANEL_APPS, APP, SLOW_APP],
    )
    _say(f"{options.replicas} replicas, {options.visitors} users, --durability {options.durability} ...")
    async with arena:
        await arena.everybody_used_it()
        for name in chosen:
            rounds.append(await _round(arena, name, options))
            _say(_line(rounds[-1]))
        return await arena.verdict()


async def _task_round(options: argparse.Namespace) -> Round:
    """Five replicas of their own, and no users."""
    _say(f"5 replicas with a task, killed for {options.task_storm:.0f} s ...")
    began = time.monotonic()
    count, problems = await task_storm(options.task_storm, every=options.every)
    found = Round(TASKS, time.monotonic() - began, 0, 0.0, problems)
    _say(f"{_line(found)}  {count} runs")
    return found


def _possible(name: str) -> bool:
    """Whether that fault can be had here; says why not."""
    reason = MISSING[name]() if name in MISSING else None
    if reason is not None:
        _say(f"{name}: left out, because {reason}")
    return reason is None


def _island() -> str:
    """A real cable where that can be; else proxies, and why."""
    reason = no_namespaces()
    if reason:
        _say(f"partition: by proxies, because {reason}")
    return "proxies" if reason else "namespace"


async def _round(arena: Arena, name: str, options: argparse.Namespace) -> Round:
    fault: Callable[[Arena], Awaitable[None]] = _storm(options) if name == STORM else FAULTS[name]
    before, moved, began = len(arena.so_far().problems), arena.moves, time.monotonic()
    failures: list[str] = []
    try:
        await fault(arena)
        await arena.everybody_used_it(within=SETTLED)
    except (Stuck, TimeoutError, AssertionError) as failure:
        failures.append(f"{type(failure).__name__}: {failure}")
    times = [move.back - move.dropped for move in _moves_since(arena, began)]
    problems = [*failures, *arena.so_far().problems[before:]]
    return Round(name, time.monotonic() - began, arena.moves - moved, max(times, default=0.0), problems)


def _storm(options: argparse.Namespace) -> Callable[[Arena], Awaitable[None]]:
    async def storm(arena: Arena) -> None:
        until = time.monotonic() + options.storm
        while (began := time.monotonic()) < until:
            await kill(arena)
            await asyncio.sleep(max(0.0, began + options.every - time.monotonic()))

    return storm


def _moves_since(arena: Arena, began: float) -> Iterator[Move]:
    return (move for each in arena.visitors for move in each.log.moves if move.dropped >= began)


def _line(each: Round) -> str:
    state = "ok" if not each.problems else f"{len(each.problems)} PROBLEMS, such as {each.problems[0][:300]}"
    return (
        f"{each.fault:16} {each.seconds:6.1f} s  {each.moves:5} moves  slowest {each.slowest:5.2f} s  {state}"
    )


def _write(options: argparse.Namespace, rounds: list[Round], verdict: Verdict) -> None:
    options.report.mkdir(parents=True, exist_ok=True)
    told = {name: value for name, value in vars(options).items() if name != "report"}
    found = {"options": told, "rounds": [asdict(each) for each in rounds], "verdict": asdict(verdict)}
    (options.report / "chaos.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = ["# Chaos", "", f"{told}", "", "```", *map(_line, rounds), "", str(verdict), "```", ""]
    lines += [f"- {problem}" for problem in verdict.problems]
    (options.report / "chaos.md").write_text("\n".join(lines) + "\n")
    _say(f"report: {options.report}/chaos.md, chaos.json")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
