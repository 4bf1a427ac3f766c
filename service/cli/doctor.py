"""``svc doctor``: what is wrong, or will be, with a deployment; takes the options of ``svc serve``."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator

from service import settings
from service.cli.panel_flags import add_panel_flags
from service.cli.rendering import counted
from service.doctor.findings import Finding, Level
from service.errors import Unavailable
from service.exit_codes import FAILURE, SUCCESS
from store.errors import StoreError

__all__ = ("HELP", "add_arguments", "run")

HELP = "Look for what goes wrong in deployments, and say what to do."

_SIGNS = {Level.FINE: "ok", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    settings.add_arguments(parser)
    add_panel_flags(parser)
    parser.add_argument("--url", metavar="URL", help="The public address of one app: visit it as browsers do")
    parser.add_argument("--json", action="store_true", help="For scripts")


def run(arguments: argparse.Namespace) -> int:
    """1 if there is a problem, else 0. Raises ConfigError for options that ``svc serve`` refuses."""
    given = vars(arguments)
    url, as_json = given.pop("url"), given.pop("json")
    options = settings.from_arguments(given, os.environ)
    return asyncio.run(_report(options, url, as_json=as_json))


async def _report(options: settings.Settings, url: str | None, *, as_json: bool) -> int:
    found: list[Finding] = []
    async for each in _findings(options, url):
        found.append(each)
        if not as_json:
            _show(each)
    if as_json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
    problems = sum(each.level is Level.PROBLEM for each in found)
    warnings = sum(each.level is Level.WARNING for each in found)
    if not as_json:
        print(f"\n{counted(problems, 'problem')}, {counted(warnings, 'warning')}")
    return FAILURE if problems else SUCCESS


def _show(found: Finding) -> None:
    print(f"{_SIGNS[found.level]:8} {found.about}: {found.says}", flush=True)
    if found.advice:
        print(f"{'':8} -> {found.advice}", flush=True)


async def _findings(options: settings.Settings, url: str | None) -> AsyncIterator[Finding]:
    from service.doctor.process import check_process  # late: it imports bokeh

    for each in check_process(options):
        yield each
    if options.redis is not None:
        async for each in _of_fleet(options):
            yield each
    if url is not None:
        from service.doctor.site import check_site

        async for each in check_site(url):
            yield each


async def _of_fleet(options: settings.Settings) -> AsyncIterator[Finding]:
    from service.doctor.redis import check_redis, unreachable
    from service.doctor.replicas import check_replicas
    from service.metrics import Metrics
    from service.store_opening import open_store_of

    store = open_store_of(options, Metrics())
    try:
        if (found := await unreachable(store)) is not None:
            yield found
            return
        async for each in check_redis(store):
            yield each
        async for each in check_replicas(options, store):
            yield each
    except StoreError as error:  # it has gone meanwhile
        raise Unavailable(str(error)) from error
    finally:
        await store.close()
