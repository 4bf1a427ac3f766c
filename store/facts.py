"""What a Redis server says of itself that matters to whoever operates it, read without changing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from store.link import Link

__all__ = ("ServerFacts", "ask_servers")

ROUND_TRIPS = 9


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server; of a Cluster, one of its masters."""

    version: str
    policy: str
    """``maxmemory-policy``."""
    used_memory: int
    """Bytes."""
    max_memory: int
    """Bytes; 0 for no limit."""
    evicted: int
    """Keys that were evicted since it started."""
    appends: bool
    """``appendonly yes``."""
    persistence_failed: bool
    """The last write to its disk went wrong."""
    free_clients: int | None
    """Connections that it takes beside those that are open; None where it does not say."""
    clock_ahead: float
    """Seconds that its clock is ahead of this machine's."""
    round_trip: float
    """Median, in seconds."""


async def ask_servers(link: Link) -> list[ServerFacts]:
    """All servers behind ``link``; none for an embedded store. Raises StoreError."""
    if link.client.embedded:
        return []
    return await link.patiently(lambda: _ask(link))


async def _ask(link: Link) -> list[ServerFacts]:
    redis = link.client.redis
    if not link.client.clustered:
        return [await _facts(redis, {})]
    await redis.initialize()
    return [await _facts(redis, {"target_nodes": node}) for node in redis.get_primaries()]


async def _facts(redis: Any, to: Mapping[str, Any]) -> ServerFacts:
    info = await redis.info(**to)
    times = [await _clock(redis, to) for _ in range(ROUND_TRIPS)]
    return ServerFacts(
        version=str(info.get("redis_version", "?")),
        policy=str(info.get("maxmemory_policy", "")),
        used_memory=int(info.get("used_memory", 0)),
        max_memory=int(info.get("maxmemory", 0)),
        evicted=int(info.get("evicted_keys", 0)),
        appends=bool(int(info.get("aof_enabled", 0))),
        persistence_failed="err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")),
        free_clients=int(info["maxclients"]) - int(info["connected_clients"])
        if "maxclients" in info
        else None,
        clock_ahead=median(ahead for ahead, _ in times),
        round_trip=median(took for _, took in times),
    )


async def _clock(redis: Any, to: Mapping[str, Any]) -> tuple[float, float]:
    """How far ahead it is, and how long the answer took."""
    asked, began = time.time(), time.monotonic()
    seconds, microseconds = await redis.time(**to)
    took = time.monotonic() - began
    return seconds + microseconds / 1e6 - (asked + took / 2), took
