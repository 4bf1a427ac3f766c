"""``svc status``: which replicas there are, what they hold and how they are."""

from __future__ import annotations

import argparse
import asyncio

from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import as_json, as_text
from service.cli.view import FleetView, look

__all__ = ("HELP", "add_arguments", "run")

HELP = "Show the replicas of a fleet and their sessions."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("--sessions", action="store_true", help="Also list which replica holds what")
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis, Unavailable when it does not answer."""
    view = asyncio.run(_look(arguments))
    print(as_json(view) if arguments.json else as_text(view))
    return 0


async def _look(arguments: argparse.Namespace) -> FleetView:
    async with opened_store(arguments) as store:
        return await look(store, sessions=arguments.sessions)
