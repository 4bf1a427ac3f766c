"""``svc tasks``: what a fleet runs on one replica at a time, where, when, and how it went."""

from __future__ import annotations

import argparse
import asyncio
import time

from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import tasks_as_json, tasks_as_text
from service.exit_codes import SUCCESS

__all__ = ("HELP", "add_arguments", "run")

HELP = "List the tasks that a fleet runs on one replica at a time."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis, Unavailable when it does not answer."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    async with opened_store(arguments) as store:
        tasks, now = await store.tasks(), time.time()
        print(tasks_as_json(tasks, now) if arguments.json else tasks_as_text(tasks, now))
    return SUCCESS
