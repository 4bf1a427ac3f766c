"""A Redis that has no room left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from devchaos.arena import Arena
from devchaos.visitor import APP
from harness.pages import get_page

StartArena = Callable[..., Awaitable[Arena]]


async def test_redis_is_full(arena: StartArena) -> None:
    started = await arena(visitors=4, think=0.1)
    await started.everybody_used_it()
    redis, url = started.redis, started.fleet.app_url(APP)

    redis.command("CONFIG", "SET", "maxmemory", 1)
    page = await get_page(url)
    await started.everybody_used_it(5)

    assert page.status == 503
    assert "Retry-After" in page.headers
    for replica in started.fleet.replicas:
        assert len(replica.matching("no memory left")) < 5
    assert any(replica.matching("no memory left") for replica in started.fleet.replicas)

    redis.command("CONFIG", "SET", "maxmemory", 0)
    await started.everybody_used_it(5)
    assert (await get_page(url)).status == 200
    started.fleet.replicas[0].kill()
    await started.everybody_used_it()
    verdict = await started.verdict()
    assert not verdict.problems, f"{verdict}\n" + "\n".join(verdict.problems)
