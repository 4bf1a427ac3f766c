"""``svc drain``: have a replica move its sessions to the others and stop, and watch it do so."""

from __future__ import annotations

import argparse
import asyncio

from service.cli.caller import add_caller_argument, caller
from service.cli.opening import add_store_arguments, opened_store
from service.errors import ConfigError, Unavailable
from service.exit_codes import SUCCESS
from store.contract import Heartbeat, Store

__all__ = ("HELP", "add_arguments", "run")

HELP = "Move a replica's sessions to the others and stop it."

LOOK_EVERY = 0.2
"""Seconds between looks at the replica's heartbeat."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("replica", help="Its id, or the beginning of that, or its address (see svc status)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="Stop watching after this long"
    )
    add_caller_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError when there is no such replica, Unavailable when it does not stop in time."""
    return asyncio.run(_drain(arguments))


async def _drain(arguments: argparse.Namespace) -> int:
    async with opened_store(arguments) as store:
        replica = _chosen(await store.replicas(), arguments.replica)
        await store.ask_to_drain(replica.replica, by=caller(arguments))
        try:
            async with asyncio.timeout(arguments.timeout):
                await _watch(store, replica.replica)
        except TimeoutError:
            raise Unavailable(f"{replica.replica} still runs after {arguments.timeout:g} s") from None
    print(f"{replica.replica} is gone")
    return SUCCESS


async def _watch(store: Store, replica: str) -> None:
    """Show how many sessions are left, until the replica has left the fleet."""
    shown = ""
    while (beat := await store.replica(replica)) is not None:
        line = _progress(beat)
        if line != shown:
            print(line, flush=True)
        shown = line
        await asyncio.sleep(LOOK_EVERY)


def _progress(beat: Heartbeat) -> str:
    state = "draining" if beat.draining else "asked to drain"
    return f"{beat.replica} at {beat.address}: {state}, {sum(beat.sessions.values())} sessions left"


def _chosen(replicas: list[Heartbeat], wanted: str) -> Heartbeat:
    found = [
        beat
        for beat in replicas
        if beat.replica.startswith(wanted) or wanted in (beat.address, beat.address.partition("://")[2])
    ]
    if len(found) != 1:
        names = ", ".join(f"{beat.replica} at {beat.address}" for beat in replicas) or "none"
        problem = "more than one replica is" if found else "no replica is"
        raise ConfigError(f"{problem} called {wanted}; there are: {names}")
    return found[0]
