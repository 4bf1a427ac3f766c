"""``python -m loadtests.bench [--quick] [--only NAME ...] [--rounds N] [--resume] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench import report
from loadtests.bench.figures import browser, costs, crowds, growth, jobs, messages, panel, throughput, waiting
from loadtests.bench.scenario import Measured, Scale, Scenario
from loadtests.bench.servers import BOKEH, OURS, Side, pin_to_load_core, running

SCENARIOS = [
    *throughput.SCENARIOS,
    *waiting.SCENARIOS,
    *costs.SCENARIOS,
    *panel.SCENARIOS,
    *crowds.SCENARIOS,
    *messages.SCENARIOS,
    *jobs.SCENARIOS,
    *browser.SCENARIOS,
    *growth.SCENARIOS,
]
LONGEST_ROUND = 600.0
"""Seconds after which a measurement is given up."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    chosen = [each for each in SCENARIOS if not options.only or each.name in options.only]
    scale = Scale(seconds=1.0 if options.quick else options.seconds, quick=options.quick)
    rounds = options.rounds or (1 if options.quick else 5)
    command = shlex.join(["python", "-m", "loadtests.bench", *(sys.argv[1:] if argv is None else argv)])
    before = report.read(options.out) if options.resume else {}
    pin_to_load_core()
    results: dict[str, list[Measured]] = {}
    failed = []
    for scenario in chosen:
        results[scenario.name] = rows = _rows(scenario, before)
        try:
            _complete(scenario, scale, rounds, rows, options.against)
        except Exception:  # noqa: BLE001 - whatever it was, it is shown and counts
            # The others are worth having all the same; the exit status tells.
            traceback.print_exc()
            failed.append(scenario.name)
        report.write([row for rows in results.values() for row in rows], command, options.out)
    peer = "bokeh serve" if options.against is None else str(options.against)
    table = report.table([row for rows in results.values() for row in rows], peer)
    print(f"\n{report.machine()}:\n\n{table}")
    print(f"failed: {', '.join(failed)}" if failed else "nothing failed")
    return 1 if failed else 0


def _rows(scenario: Scenario, before: dict[str, dict[str, list[float]]]) -> list[Measured]:
    """The rows of a scenario, with the rounds that an earlier run has measured."""
    measured = [Measured(scenario.name, row) for row in scenario.rows]
    for each in measured:
        each.values |= before.get(each.name, {})
    return measured


def _complete(
    scenario: Scenario, scale: Scale, rounds: int, rows: list[Measured], against: Path | None
) -> None:
    """Measure the rounds that are missing."""
    sides = scenario.sides if against is None else (OURS, BOKEH)
    for number in range(rounds):
        # Alternating, and each first as often: drift of the machine hits both sides.
        for name in sides if number % 2 else reversed(sides):
            done = max(len(row.values[name]) for row in rows)
            if done <= number < scenario.due(name, rounds, sides):
                _measure(scenario, scale, name, rows, against)


def _measure(scenario: Scenario, scale: Scale, name: str, rows: list[Measured], against: Path | None) -> None:
    began = time.monotonic()
    values = _once(scenario, scale, name, against)
    for row in rows:
        if row.row.key in values:
            row.values[name].append(values[row.row.key])
    shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
    print(f"{scenario.name} {name:6}{time.monotonic() - began:5.0f} s  {shown}", flush=True)


def _once(scenario: Scenario, scale: Scale, name: str, against: Path | None = None) -> dict[str, float]:
    arguments = {"args": scenario.args, "ours_only": scenario.ours_only, "size": scenario.size}
    arguments |= {"kind": scenario.kind, "peer": scenario.peer, "spread": scenario.spread}
    with running(name, scenario.apps, against=against, **arguments) as side:  # type: ignore[arg-type]
        return asyncio.run(asyncio.wait_for(_measured(scenario, scale, side), LONGEST_ROUND))


async def _measured(scenario: Scenario, scale: Scale, side: Side) -> dict[str, float]:
    return await scenario.measure(side, scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Our server and bokeh serve, side by side.")
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--rounds", type=int, help="how many (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load (default: %(default)s)")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[each.name for each in SCENARIOS],
                        help="some scenarios: %(choices)s")  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="keep the rounds that the folder has")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT",
                        help="another checkout of this project, in place of bokeh serve")  # fmt: skip
    parser.add_argument("--out", type=Path, default=report.folder_of_line(),
                        help="folder for JSON and Markdown (default: %(default)s)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
