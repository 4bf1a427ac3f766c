"""``svc sessions``: which sessions a fleet holds, and whose they are."""

from __future__ import annotations

import argparse
import asyncio
import time

from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import sessions_as_json, sessions_as_text
from service.cli.view import Chosen, FleetView, look
from service.errors import ConfigError

__all__ = ("HELP", "add_arguments", "run")

HELP = "List the sessions that the replicas of a fleet hold."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="The short form of one, or its beginning")
    parser.add_argument("--app", metavar="PATH", help="Only of this app, such as /sliders")
    parser.add_argument("--replica", metavar="ID", help="Only on this replica (the beginning of its id)")
    parser.add_argument("--user", metavar="NAME", help="Only of this user")
    parser.add_argument("--older", type=float, metavar="SECONDS", help="Only those begun that long ago")
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis or for an unknown session, Unavailable as all."""
    view = asyncio.run(_look(arguments))
    chosen = Chosen(
        session=arguments.session,
        app=arguments.app,
        replica=arguments.replica,
        user=arguments.user,
        older=arguments.older,
    )
    found = chosen.of(view.held or [], time.time())
    if arguments.session and not found:
        raise ConfigError(f"no session is called {arguments.session}; svc sessions lists them")
    print(sessions_as_json(found, view.at) if arguments.json else sessions_as_text(found, view.at))
    return 0


async def _look(arguments: argparse.Namespace) -> FleetView:
    async with opened_store(arguments) as store:
        return await look(store, sessions=True)
