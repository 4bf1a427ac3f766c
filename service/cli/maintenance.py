"""``svc maintenance``: no new sessions begin, in the fleet or of one app; those that are there go on."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping

from service.cli.caller import add_caller_argument, caller
from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import counted, maintenance_as_json, maintenance_as_text
from service.errors import ConfigError, Unavailable
from service.exit_codes import SUCCESS
from store.contract import Store
from store.maintenance import ALL_APPS, MaintenanceNotice

__all__ = ("HELP", "add_arguments", "run")

HELP = "Begin or end maintenance: new pages get a message, open ones go on."

LOOK_EVERY = 0.1
"""Seconds between looks whether all replicas follow."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("action", nargs="?", choices=("on", "off", "show"), default="show")
    parser.add_argument("--message", metavar="TEXT", help="With on: what visitors are told")
    parser.add_argument(
        "--app", metavar="PATH", help="Only this app, such as /sliders; off without it ends all"
    )
    parser.add_argument(
        "--retry-after",
        type=_seconds,
        default=60,
        metavar="SECONDS",
        help="With on: pages ask again after this long, and a little more by chance (60)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="Wait this long for all replicas to follow",
    )
    parser.add_argument("--json", action="store_true", help="With show: for scripts; times are in seconds")
    add_caller_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError for arguments that make no sense, Unavailable when some replica does not follow."""
    if arguments.action == "on" and not arguments.message:
        raise ConfigError("on needs a --message for visitors")
    if arguments.app is not None and not arguments.app.startswith("/"):
        raise ConfigError(f"--app {arguments.app}: the URL path of an app begins with a slash")
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    async with opened_store(arguments) as store:
        if arguments.action == "show":
            notices, now = await store.maintenance.all(), time.time()
            shown = maintenance_as_json if arguments.json else maintenance_as_text
            print(shown(notices, now))
            return SUCCESS
        await _warn_of_unknown(store, arguments.app)
        if arguments.action == "on":
            notice = MaintenanceNotice(
                arguments.message, time.time(), retry_after=arguments.retry_after, operator=caller(arguments)
            )
            await store.maintenance.begin(arguments.app or ALL_APPS, notice)
        else:
            await store.maintenance.end(arguments.app, by=caller(arguments))
        notices = await store.maintenance.all()
        await _followed(store, notices, arguments.timeout)
        print(maintenance_as_text(notices, time.time()))
    return SUCCESS


async def _warn_of_unknown(store: Store, app: str | None) -> None:
    served = {path for each in await store.replicas() for path in each.errors}
    if app is not None and served and app not in served:
        print(
            f"svc: warning: no replica serves {app}; there are: {', '.join(sorted(served))}", file=sys.stderr
        )


async def _followed(store: Store, notices: Mapping[str, MaintenanceNotice], timeout: float) -> None:
    """Return when every replica has heard of it."""
    since = {app: notice.since for app, notice in notices.items()}
    until = time.monotonic() + timeout
    while late := [each for each in await store.replicas() if each.maintenance != since]:
        if time.monotonic() > until:
            names = ", ".join(f"{each.replica} at {each.address} (version {each.version})" for each in late)
            number = counted(len(late), "replica")
            raise Unavailable(f"the store has it, but after {timeout:g} s {number} did not follow: {names}")
        await asyncio.sleep(LOOK_EVERY)


def _seconds(raw: str) -> int:
    seconds = int(raw)
    if not 1 <= seconds <= 24 * 3600:
        raise argparse.ArgumentTypeError("must be between 1 and 86400")
    return seconds
