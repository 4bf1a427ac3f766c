"""``svc sessions``: which sessions a fleet holds, whose they are, and ending one."""

from __future__ import annotations

import argparse
import asyncio
import time

from service.cli.caller import add_caller_argument, caller
from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import parked_as_json, parked_as_text, sessions_as_json, sessions_as_text
from service.errors import ConfigError, Unavailable
from service.exit_codes import FAILURE, SUCCESS
from service.fleet.ending import end_session
from service.fleet.view import FleetView, SessionFilter, look
from store.contract import SessionKey, SessionRecord, Store

__all__ = ("HELP", "add_arguments", "run")

HELP = "List the sessions that the replicas of a fleet hold, or that were set aside, or end some."

SIDE_BY_SIDE = 20
"""Sessions that are being ended at a time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="The short form of one, or its beginning")
    parser.add_argument("--app", metavar="PATH", help="Only of this app, such as /sliders")
    parser.add_argument("--replica", metavar="ID", help="Only on this replica (the beginning of its id)")
    parser.add_argument("--user", metavar="NAME", help="Only of this user")
    parser.add_argument("--older", type=float, metavar="SECONDS", help="Only those begun that long ago")
    parser.add_argument(
        "--end",
        action="store_true",
        help="End the one session that fits: its hooks run, and its pages say that it has ended",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="With --end: end all that fit; needs --app, --replica, --user or --older",
    )
    parser.add_argument(
        "--parked",
        action="store_true",
        help="List those that were set aside: replicas died with them, or they take too much memory",
    )
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="With --end: wait this long for each"
    )
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")
    add_caller_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis or for an unknown session, Unavailable as all."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    async with opened_store(arguments) as store:
        if arguments.parked:
            parked, now = await store.parked(), time.time()
            print(parked_as_json(parked, now) if arguments.json else parked_as_text(parked, now))
            return SUCCESS
        view = await look(store, sessions=True)
        found = _chosen(arguments, view)
        if arguments.end and arguments.all:
            return await _end_all(store, found, arguments)
        if arguments.end:
            await _end_one(store, found, arguments)
        else:
            print(sessions_as_json(found, view) if arguments.json else sessions_as_text(found, view))
    return SUCCESS


def _chosen(arguments: argparse.Namespace, view: FleetView) -> list[SessionRecord]:
    chosen = SessionFilter(
        session=arguments.session,
        app=arguments.app,
        replica=arguments.replica,
        user=arguments.user,
        older=arguments.older,
    )
    found = chosen.of(view.held or [], view.at)
    if arguments.session and not found:
        raise ConfigError(f"no session is called {arguments.session}; svc sessions lists them")
    return found


async def _end_one(store: Store, found: list[SessionRecord], arguments: argparse.Namespace) -> None:
    if len(found) != 1:
        raise ConfigError(f"--end takes one session, and {len(found)} fit: say which, or --all")
    await _end(store, found[0].key, arguments)


async def _end_all(store: Store, found: list[SessionRecord], arguments: argparse.Namespace) -> int:
    """1 if some have not ended, each of which is named."""
    if not (arguments.app or arguments.replica or arguments.user or arguments.older is not None):
        raise ConfigError("--end --all needs to know of what: --app, --replica, --user or --older 0")
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def end(key: SessionKey) -> bool:
        async with turns:
            try:
                await _end(store, key, arguments)
            except Unavailable as error:
                print(error)
                return False
            return True

    ended = await asyncio.gather(*(end(each.key) for each in found))
    print(f"{sum(ended)} of {len(found)} sessions have ended")
    return SUCCESS if all(ended) else FAILURE


async def _end(store: Store, key: SessionKey, arguments: argparse.Namespace) -> None:
    timeout = arguments.timeout
    try:
        async with asyncio.timeout(timeout):
            await end_session(store, key, by=caller(arguments))
    except TimeoutError:
        raise Unavailable(f"{key.short} has not ended after {timeout:g} s: is a callback running?") from None
    print(f"{key.short} has ended")
