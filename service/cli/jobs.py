"""``svc jobs``: what apps have submitted, how far it is, and cancelling it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from service.cli.opening import add_store_arguments, opened_store
from service.cli.rendering import jobs_as_json, jobs_as_text
from service.errors import ConfigError
from service.exit_codes import FAILURE, SUCCESS
from service.fleet.job_status import JobStatus
from store.contract import Store
from store.jobs import JobRecord, JobState

__all__ = ("HELP", "add_arguments", "run")

HELP = "List the jobs that apps have submitted, or cancel some."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)
    parser.add_argument("--app", metavar="PATH", help="Only those of this app, such as /report")
    parser.add_argument("--unfinished", action="store_true", help="Only those that are queued or run")
    parser.add_argument("--json", action="store_true", help="For scripts; times are in seconds")
    parser.add_argument(
        "--cancel",
        metavar="ID",
        nargs="+",
        help="Cancel these; the beginning of an id is enough if no other has it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError without a usable --redis, Unavailable when it does not answer."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    async with opened_store(arguments) as store:
        jobs = [each for each in await store.jobs.all() if _is_wanted(each, arguments)]
        if arguments.cancel:
            return await _cancel(store, [_found(jobs, beginning) for beginning in arguments.cancel])
        now = time.time()
        print(jobs_as_json(jobs, now) if arguments.json else jobs_as_text(jobs, now))
    return SUCCESS


def _is_wanted(job: JobRecord, arguments: argparse.Namespace) -> bool:
    return arguments.app in (None, job.name.app) and not (arguments.unfinished and job.state.over)


def _found(jobs: list[JobRecord], beginning: str) -> JobRecord:
    found = [each for each in jobs if each.name.id.startswith(beginning)]
    if len(found) != 1:
        raise ConfigError(f"--cancel {beginning}: {len(found)} jobs have an id that begins so")
    return found[0]


async def _cancel(store: Store, jobs: list[JobRecord]) -> int:
    """1 if one of them was over already."""
    over = False
    for each in jobs:
        cancelled = JobStatus(JobState.CANCELLED, attempt=each.attempt)
        had = await store.jobs.cancel(each.name, cancelled.packed())
        if had is None or had.over:
            over = True
            print(f"{each.name.id} was {had or 'forgotten'} already", file=sys.stderr)
        else:
            print(f"{each.name.id} is cancelled")
    return FAILURE if over else SUCCESS
