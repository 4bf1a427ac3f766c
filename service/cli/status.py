"""``svc status``: which replicas there are, what they hold and how they are."""

from __future__ import annotations

import argparse
import asyncio
import sys

from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import as_json, as_text
from service.exit_codes import SUCCESS
from service.fleet.view import FleetView, look

__all__ = ("HELP", "add_arguments", "run")

CLEAR = "\033[H\033[2J"
"""Moves a terminal's cursor home and clears what is there."""

HELP = "Show the replicas of a fleet and their sessions."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("--sessions", action="store_true", help="Also list which replica holds what")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=1.0,
        metavar="SECONDS",
        help="Show it again and again, every second if not told otherwise, until Ctrl-C",
    )
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis, Unavailable when it does not answer."""
    asyncio.run(_show(arguments))
    return SUCCESS


async def _show(arguments: argparse.Namespace) -> None:
    async with opened_store(arguments) as store:
        while True:
            _print(await look(store, sessions=arguments.sessions), arguments)
            if arguments.watch is None:
                return
            await asyncio.sleep(arguments.watch)


def _print(view: FleetView, arguments: argparse.Namespace) -> None:
    if arguments.watch is not None and sys.stdout.isatty():
        print(CLEAR, end="")
    print(as_json(view) if arguments.json else as_text(view), flush=True)
    if arguments.watch is not None and not sys.stdout.isatty():
        print(flush=True)


def _seconds(raw: str) -> float:
    seconds = float(raw)
    if not 0.1 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be at least 0.1")
    return seconds
