"""Whether replicas reach each other where they say: a page's socket may come to any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from service.doctor.findings import Finding, fine, problem, warning
from service.listening import guess_host
from service.settings import NetworkSettings
from store.contract import Heartbeat, Store
from store.errors import StoreError

__all__ = ("check_replicas",)

CONNECT_SECONDS = 2.0

LAG_SECONDS = 0.5

_ADVICE = (
    "open that port between the pods (a NetworkPolicy?), or give each replica an --advertise address that "
    "the others reach"
)


async def check_replicas(settings: NetworkSettings, store: Store) -> AsyncIterator[Finding]:
    """Looks at all that beat under the prefix. Meant to be run where a replica runs."""
    yield _own(settings)
    try:
        replicas = await store.replicas()
    except StoreError as error:
        yield problem("replicas", str(error), "see what is said about redis")
        return
    if not replicas:
        yield warning(
            "replicas",
            f"none is up under the prefix {settings.redis_prefix!r}",
            "run this again once the fleet is up",
        )
        return
    for finding in await asyncio.gather(*map(_replica, replicas)):
        yield finding
    yield _one_image(replicas)


def _own(settings: NetworkSettings) -> Finding:
    """The address that a replica here would tell the others."""
    host = urlsplit(settings.advertise).hostname if settings.advertise else guess_host(settings).strip("[]")
    store = urlsplit(settings.redis or "").hostname
    if _is_loopback(host or "") and store is not None and not _is_loopback(store):
        return problem(
            "advertise", f"a replica here would tell the others {host}, where each finds itself", _ADVICE
        )
    return fine("advertise", f"a replica here would tell the others {host}")


async def _replica(beat: Heartbeat) -> Finding:
    about = f"replica {beat.replica}"
    parts = urlsplit(beat.address)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except (OSError, TimeoutError) as error:
        return problem(about, f"{beat.address} cannot be reached from here: {error or 'no answer'}", _ADVICE)
    writer.close()
    if beat.lag > LAG_SECONDS:
        return warning(
            about,
            f"its event loop is {beat.lag:.1f} s late",
            "see docs/operate/runbook.md; app code that blocks belongs on threads (--app-threads)",
        )
    return fine(about, f"{beat.address} can be reached" + (", it is draining" if beat.draining else ""))


def _one_image(replicas: Sequence[Heartbeat]) -> Finding:
    if len({each.build for each in replicas}) > 1:
        return warning(
            "image",
            "the replicas differ in their apps' code, or in what is installed",
            "nothing during a rolling update, else give all the same image",
        )
    return fine("image", "all replicas have the same")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
