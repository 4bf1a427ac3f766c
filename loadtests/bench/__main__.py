"""``python -m loadtests.bench [--quick] [--only NAME ...] [--rounds N] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench import report
from loadtests.bench.figures import browser, costs, crowds, throughput
from loadtests.bench.scenario import Measured, Scale, Scenario
from loadtests.bench.servers import pin_to_load_core, running

SCENARIOS = [*throughput.SCENARIOS, *browser.SCENARIOS, *costs.SCENARIOS, *crowds.SCENARIOS]
LONGEST_ROUND = 600.0
"""Seconds after which a measurement is given up."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    chosen = [each for each in SCENARIOS if not options.only or each.name in options.only]
    scale = Scale(seconds=1.0 if options.quick else options.seconds, quick=options.quick)
    rounds = options.rounds or (1 if options.quick else 5)
    command = shlex.join(["python", "-m", "loadtests.bench", *(sys.argv[1:] if argv is None else argv)])
    pin_to_load_core()
    measured: list[Measured] = []
    try:
        for scenario in chosen:
            measured += _measure(scenario, scale, min(rounds, scenario.rounds or rounds))
            report.write(measured, command, options.out)
    finally:
        print("\n" + report.table(measured))
    return 0


def _measure(scenario: Scenario, scale: Scale, rounds: int) -> list[Measured]:
    measured = {row.key: Measured(scenario.name, row) for row in scenario.rows}
    for number in range(rounds):
        # Alternating, and each first as often: drift of the machine hits both sides.
        for name in scenario.sides if number % 2 else reversed(scenario.sides):
            values = _once(scenario, scale, name)
            for key in measured.keys() & values.keys():
                measured[key].values[name].append(values[key])
            shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
            print(f"{scenario.name} {number + 1}/{rounds} {name:6}{shown}", flush=True)
    return list(measured.values())


def _once(scenario: Scenario, scale: Scale, name: str) -> dict[str, float]:
    arguments = {"args": scenario.args, "ours_only": scenario.ours_only, "size": scenario.size}
    with running(name, scenario.apps, **arguments) as side:  # type: ignore[arg-type]
        return asyncio.run(asyncio.wait_for(_measured(scenario, scale, side), LONGEST_ROUND))


async def _measured(scenario: Scenario, scale: Scale, side: object) -> dict[str, float]:
    return await scenario.measure(side, scale)  # type: ignore[arg-type]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Our server and bokeh serve, side by side.")
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--rounds", type=int, help="how many (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of load (default: %(default)s)")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[each.name for each in SCENARIOS],
                        help="some scenarios: %(choices)s")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for JSON and Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
