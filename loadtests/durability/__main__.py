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

MOVES: Mapping[str, Callable[[Scale, moves.Env], Awaitable[list[Figure]]]] = {
    "slow": moves.slow,
    "kill": moves.killed,
    "terminate": moves.terminated,
    "drain": moves.drained,
    "herd": moves.herd,
}
"""These take a whole machine: three replicas, nginx, and all the users."""

COSTS: Mapping[str, Callable[[Scale], Awaitable[list[Figure]]]] = {
    "journal": costs.journal,
    "encryption": costs.encryption,
    "redis": costs.redis_bytes,
    "hibernation": costs.hibernation,
    "asleep": asleep.open_tabs,
}


NAMES = [*MOVES, *COSTS]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    scale = Scale(seconds=0.5 if options.quick else 2.0, quick=options.quick)
    command = shlex.join(["python", "-m", "loadtests.durability", *(sys.argv[1:] if argv is None else argv)])
    found: list[Figure] = []
    # Whoever shares the machine with the replicas first: pinning is for good.
    for name in sorted(options.only or NAMES, key=NAMES.index):
        print(f"{name} ...", flush=True)
        if name in MOVES:
            found += _beside(name, scale, options.against)
        else:
            pin_to_load_core()
            found += asyncio.run(_measured(COSTS[name](scale)))
        figures.write(found, command, options.out)
    print(f"\n{figures.table(found)}")
    return 0 if all(each.met for each in found) else 1


def _beside(name: str, scale: Scale, against: Path | None) -> list[Figure]:
    """What is measured here; with another checkout also there, first, and how much of that it is."""
    if against is None:
        return asyncio.run(_measured(MOVES[name](scale, None)))
    env = {"PYTHONPATH": str(against.resolve(strict=True))}
    before = asyncio.run(_measured(MOVES[name](scale, env)))
    return figures.compared(asyncio.run(_measured(MOVES[name](scale, None))), before)


async def _measured(measuring: Awaitable[list[Figure]]) -> list[Figure]:
    return await measuring


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="durability", description="What moves and durability cost.")
    parser.add_argument("--quick", action="store_true", help="a little of each, to see that it works")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=NAMES, help="some: %(choices)s")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="of the build before: moves are measured there, too"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/durability"), help="folder for JSON and Markdown"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
