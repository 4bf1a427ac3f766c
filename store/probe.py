"""Asks a server what it is, and says what is wrong with it for our purposes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from store.errors import StoreConfigError, StoreError, StoreUnavailable
from store.link import Link

__all__ = ("MIN_REDIS_VERSION", "check")

MIN_REDIS_VERSION = (6, 2)
"""``SET`` with ``PX`` and ``GET`` at once, and ``ZADD GT``."""


async def check(link: Link) -> None:
    """Raises what :meth:`store.contract.Store.ping` owes."""
    for info in await link.patiently(lambda: _infos(link)):
        problem = find_problem(info, link.where, clustered=link.client.clustered)
        if problem is not None:
            raise problem


def find_problem(info: Mapping[str, Any], where: str, *, clustered: bool) -> StoreError | None:
    version = str(info.get("redis_version", ""))
    if _numbers(version) < MIN_REDIS_VERSION:
        wanted = ".".join(map(str, MIN_REDIS_VERSION))
        return StoreConfigError(
            f"the store at {where} is version {version or '?'}; we need {wanted} or later"
        )
    mode = info.get("redis_mode", "standalone")
    if mode == "sentinel":
        return StoreConfigError(f"{where} is a Sentinel; use a redis+sentinel:// URL that names the master")
    if mode == "cluster" and not clustered:
        return StoreConfigError(f"{where} is part of a Redis Cluster; use a redis+cluster:// URL")
    if info.get("role", "master") != "master":
        return StoreUnavailable(f"the store at {where} is a read-only replica of another server")
    return None


async def _infos(link: Link) -> list[Mapping[str, Any]]:
    redis = link.client.redis
    if link.client.embedded:
        return []
    if not link.client.clustered:
        return [await redis.info()]
    await redis.initialize()
    return [await redis.info(target_nodes=node) for node in redis.get_primaries()]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
