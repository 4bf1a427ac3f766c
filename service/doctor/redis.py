"""Whether Redis can be reached, and is what sessions that have to outlive their replicas need.

What it should be, and why: docs/store.md.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

from service.doctor.findings import Finding, fine, problem, warning
from store.contract import JournalWrite, Outcome, PageRequest, SessionKey, Written
from store.errors import StoreConfigError, StoreError
from store.facts import ServerFacts
from store.redis_store import RedisStore

__all__ = ("check_redis", "unreachable")

FULL, NEARLY_FULL = 0.95, 0.8
"""Shares of its memory limit."""

SLOW_SECONDS = 0.005
"""A round trip. To open a session takes a handful of them."""

SKEW_SECONDS = 2.0
"""Between its clock and this machine's, which dates tokens."""

FEW_CLIENTS = 200

WAKE_UP_SECONDS = 5.0

_APP = "/svc-doctor"
_ENTRY = {"v:doctor": b"-"}


async def unreachable(store: RedisStore) -> Finding | None:
    """Why nothing else can be said of it."""
    try:
        await store.ping()
    except StoreConfigError as error:
        return problem("redis", str(error), "change --redis, see docs/store.md")
    except StoreError as error:
        advice = "check its address, password and ACL, TLS, network policies and firewalls"
        return problem("redis", str(error), advice)
    return None


async def check_redis(store: RedisStore) -> AsyncIterator[Finding]:
    """Looks at one that can be reached. Raises StoreError when it goes meanwhile."""
    servers = await store.servers()
    for number, facts in enumerate(servers, 1):
        about = "redis" if len(servers) == 1 else f"redis {number}"
        for finding in _server(about, facts):
            yield finding
    yield await _session(store)
    yield await _wake_ups(store)


def _server(about: str, facts: ServerFacts) -> Iterator[Finding]:
    yield _eviction(f"{about}: eviction", facts)
    yield _memory(f"{about}: memory", facts)
    yield _disk(f"{about}: disk", facts)
    yield _speed(f"{about}: distance", facts)
    yield _clock(f"{about}: clock", facts)
    if facts.free_clients is not None and facts.free_clients < FEW_CLIENTS:
        yield warning(
            f"{about}: clients",
            f"it takes {facts.free_clients} more connections",
            "raise its maxclients, or give it fewer users",
        )


def _eviction(about: str, facts: ServerFacts) -> Finding:
    says = f"maxmemory-policy is {facts.policy or 'not said'}"
    if facts.evicted:
        says += f", and {facts.evicted} keys were evicted since it started"
    if facts.policy in ("noeviction", ""):
        return fine(about, says)
    found = problem if facts.max_memory or facts.evicted else warning
    return found(about, f"{says}: sessions are lost that way", "set maxmemory-policy noeviction")


def _memory(about: str, facts: ServerFacts) -> Finding:
    used = f"{facts.used_memory / 2**20:.0f} MiB used"
    if not facts.max_memory:
        return warning(
            about,
            f"{used}, no limit: a Redis that outgrows its machine is killed",
            "set maxmemory to about three quarters of what the machine or container has",
        )
    share = facts.used_memory / facts.max_memory
    says = f"{used} of {facts.max_memory / 2**20:.0f} MiB ({share:.0%})"
    if share >= NEARLY_FULL:
        found = problem if share >= FULL else warning
        advice = "raise its maxmemory, or lower --session-retention or --journal-max-bytes"
        return found(about, f"{says}; when it is full, new pages are refused", advice)
    return fine(about, says)


def _disk(about: str, facts: ServerFacts) -> Finding:
    if facts.persistence_failed:
        return problem(about, "its last write to disk failed", "look into its log and at its disk")
    if not facts.appends:
        return warning(
            about,
            "appendonly is off: when Redis restarts, sessions that no replica holds in memory are lost",
            "set appendonly yes and appendfsync everysec",
        )
    return fine(about, "appendonly is on")


def _speed(about: str, facts: ServerFacts) -> Finding:
    says = f"a round trip takes {facts.round_trip * 1000:.1f} ms"
    if facts.round_trip > SLOW_SECONDS:
        return warning(
            about, f"{says}, and to open a session takes a handful", "run it in the replicas' zone"
        )
    return fine(about, says)


def _clock(about: str, facts: ServerFacts) -> Finding:
    apart = abs(facts.clock_ahead)
    if apart > SKEW_SECONDS:
        where = "ahead of" if facts.clock_ahead > 0 else "behind"
        return warning(
            about,
            f"it is {apart:.0f} s {where} this machine's",
            "let both follow NTP: tokens may be refused as expired, or as issued in the future",
        )
    return fine(about, f"it agrees with this machine's within {max(apart, 0.01):.2f} s")


async def _session(store: RedisStore) -> Finding:
    """Takes one of nobody's through the commands and scripts that sessions need."""
    about, key, replica = "redis: a session", SessionKey(_APP, secrets.token_hex(8)), secrets.token_hex(4)
    try:
        claim = await store.claim(key, replica, request=PageRequest())
        write = JournalWrite(key, claim.epoch, 1, _ENTRY, whole=True)
        written = await store.write_journals(replica, [write])
        read = await store.read_journal(key)
        ended = await store.end(key, owner=replica, epoch=claim.epoch)
    except StoreError as error:
        return problem(about, str(error), "give its user what k8s/redis/users.acl.example gives")
    if (claim.outcome, written, dict(read), ended) != (Outcome.OWN, [Written.OK], _ENTRY, True):
        return problem(about, "it was not read as it was written", "look for what else writes to this Redis")
    return fine(about, "it was claimed, written, read and ended")


async def _wake_ups(store: RedisStore) -> Finding:
    """Without them messages of apps come late."""
    about = "redis: wake-ups"

    def heard(tag: str | None) -> None:
        hearing.cancel()

    hearing = asyncio.ensure_future(store.hear_messages(heard))
    await asyncio.wait([hearing], timeout=WAKE_UP_SECONDS)
    if hearing.cancelled():
        return fine(about, "its user may wait for messages")
    failure = hearing.exception() if hearing.done() else None
    hearing.cancel()
    return warning(
        about,
        f"{failure or 'it does not answer'}: apps' messages (fleet.publish) come up to 0.1 s late",
        "let its user use the channel, as k8s/redis/users.acl.example does: &svc:* +publish +subscribe",
    )
