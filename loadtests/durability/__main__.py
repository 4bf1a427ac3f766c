"""``python -m loadtests.durability [--quick] [--only NAME ...] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from loadtests.bench.scenario import Scale
from loadtests.bench.servers import pin_to_load_core
from loadtests.durability import asleep, costs, figures, moves
from loadtests.durability.figures import Figure

MOVES = ("kill", "terminate", "drain", "herd")
"""These take a whole machine: three replicas, nginx, and all the users."""

MEASURES: Mapping[str, Callable[[Scale], Awaitable[list[Figure]]]] = {
    "kill": moves.killed,
    "terminate": moves.terminated,
    "drain": moves.drained,
    "herd": moves.herd,
    "journal": costs.journal,
    "encryption": costs.encryption,
    "redis": costs.redis_bytes,
    "hibernation": costs.hibernation,
    "asleep": asleep.open_tabs,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    scale = Scale(seconds=0.5 if options.quick else 2.0, quick=options.quick)
    command = shlex.join(["python", "-m", "loadtests.durability", *(sys.argv[1:] if argv is None else argv)])
    found: list[Figure] = []
    # Whoever shares the machine with the replicas first: pinning is for good.
    for name in sorted(options.only or MEASURES, key=list(MEASURES).index):
        if name not in MOVES:
            pin_to_load_core()
        print(f"{name} ...", flush=True)
        found += asyncio.run(_measured(MEASURES[name], scale))
        figures.write(found, command, options.out)
    print(f"\n{figures.table(found)}")
    return 0 if all(each.met for each in found) else 1


async def _measured(measure: Callable[[Scale], Awaitable[list[Figure]]], scale: Scale) -> list[Figure]:
    return await measure(scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="durability", description="What moves and durability cost.")
    parser.add_argument("--quick", action="store_true", help="a little of each, to see that it works")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=list(MEASURES), help="some: %(choices)s")
    parser.add_argument(
        "--out", type=Path, default=Path("build/durability"), help="folder for JSON and Markdown"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
