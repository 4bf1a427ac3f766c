"""A fleet that serves `workout`, visitors who use it through nginx, and what is needed to judge them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from devfleet.fleet import Fleet
from devfleet.ports import LOOPBACK
from devfleet.replica import Replica

from devchaos.checker import Verdict, judge, runs_of
from devchaos.islands import NamespaceIsland, ProxyIsland
from devchaos.owners import Owners
from devchaos.proxy import FaultProxy, ProxiedRedis
from devchaos.visitor import APP, SLOW_APP, Stuck, Visitor

__all__ = ("APP_FILE", "Arena")

APPS = Path(__file__).with_name("apps")
APP_FILE = APPS / f"{APP}.py"
POISON_FILE = APPS / "poison.py"
"""What no visitor uses: a fault does."""

OPENING = 10
"""Visitors that open the page side by side."""

INTERVAL = 0.1
"""Seconds: `--journal-interval`, at its default."""


class Arena:
    """`async with Arena(visitors=20, durability="sync") as arena:` starts all; faults come from outside.

    `slack` is how many seconds beyond an interval a write may take on this machine. With `proxied`, Redis is
    reached through `proxy`, which can lose replies. With `island`, "namespace" or "proxies", the last replica
    can be cut off from everybody: see :mod:`devchaos.islands`. Callbacks take up to ``slow`` seconds.
    Visitors use one of the apps in turn (``users_of``); ``env`` is for the replicas, and ``make_last`` makes
    the last one.
    """

    def __init__(
        self,
        *,
        visitors: int,
        replicas: int = 3,
        durability: str = "interval",
        think: float = 0.5,
        slack: float = 0.5,
        args: Sequence[str] = (),
        proxied: bool = False,
        island: str = "",
        slow: float = 0.0,
        users_of: Sequence[str] = (APP,),
        env: Mapping[str, str | None] | None = None,
        make_last: Callable[..., Replica] = Replica,
    ) -> None:
        self.durability = durability
        self.visitors: list[Visitor] = []
        self.proxy: FaultProxy | None = None
        self.interval = None if durability == "sync" else INTERVAL + slack
        self.secret = secrets.token_hex(16)
        """That all replicas have now."""
        self._count = visitors
        self._think = think
        self._apps = cycle(users_of)
        self._proxied = proxied
        self._home = TemporaryDirectory(prefix="chaos-")
        self.home = Path(self._home.name)
        """For what must be gone afterwards."""
        self.redis = ProxiedRedis({"appendonly": "yes", "appendfsync": "everysec"})
        self.island: NamespaceIsland | ProxyIsland | None = None
        if island == "namespace":
            self.island = NamespaceIsland(self.redis)
            self.redis.options |= {"bind": f"{LOOPBACK} {self.island.gateway}", "protected-mode": "no"}
        elif island:
            self.island = ProxyIsland(self.redis)
        self.fleet = Fleet(
            [*(APPS / f"{name}.py" for name in dict.fromkeys((APP, SLOW_APP, *users_of))), POISON_FILE],
            n=replicas,
            redis=self.redis,
            args=[
                "--durability",
                durability,
                "--secret-key",
                self.secret,
                *args,
                "--args",
                str(self.runs_file),
                str(slow),
            ],
            env=env,
            make_last=self.island.replica if self.island else make_last,
            # Where the last one can reach them: it would seize what is of one that refuses.
            address=self.island.gateway if isinstance(self.island, NamespaceIsland) else LOOPBACK,
        )
        self.owners: Owners
        self._living: list[asyncio.Task[None]] = []
        self._started = AsyncExitStack()

    @property
    def runs_file(self) -> Path:
        return self.home / "runs"

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            self._started.callback(self._home.cleanup)
            if isinstance(self.island, NamespaceIsland):
                self._started.enter_context(self.island)  # with the address that Redis listens on
            self._started.enter_context(self.redis)
            if isinstance(self.island, ProxyIsland):
                await self._started.enter_async_context(self.island)
            if self._proxied:
                self.proxy = self.redis.proxy = await self._started.enter_async_context(
                    FaultProxy(self.redis.port)
                )
            self.owners = await self._started.enter_async_context(Owners(self.redis.port))
            # On a thread: the proxy, if there is one, has to pass on what the replicas ask meanwhile.
            self._started.push_async_callback(asyncio.to_thread, self.fleet.stop)
            await asyncio.to_thread(self.fleet.start)
            self._started.push_async_callback(self._end_visitors)
            await self.admit(self._count)
        except BaseException:
            await self._started.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    async def admit(self, count: int, port: int | None = None) -> list[Visitor]:
        """Let that many more visitors in, who begin to use the app at once."""
        port = port or self.fleet.nginx.port
        new = [Visitor(port, think=self._think, app=next(self._apps)) for _ in range(count)]
        for at in range(0, count, OPENING):
            await asyncio.gather(*(each.open() for each in new[at : at + OPENING]))
        self.visitors += new
        self._living += [asyncio.create_task(each.live()) for each in new]
        return new

    async def verdict(self) -> Verdict:
        """Let everybody finish, look a last time, and judge. Visitors stay connected."""
        for visitor in self.visitors:
            visitor.stop()
        await asyncio.gather(*self._living)
        for at in range(0, len(self.visitors), OPENING):
            await asyncio.gather(*(each.look_last() for each in self.visitors[at : at + OPENING]))
        return self.so_far()

    def so_far(self) -> Verdict:
        """The verdict on what was logged by now."""
        runs = runs_of(self.runs_file)
        logs = [each.log for each in self.visitors]
        return judge(logs, interval=self.interval, owners=self.owners, runs=runs)

    async def _end_visitors(self) -> None:
        for visitor in self.visitors:
            visitor.close()
        for task in self._living:
            task.cancel()
        await asyncio.gather(*self._living, return_exceptions=True)

    # -- waiting -------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """Acknowledged changes so far."""
        return sum(1 for each in self.visitors for change in each.log.changes if change.acked is not None)

    @property
    def moves(self) -> int:
        return sum(len(each.log.moves) for each in self.visitors)

    async def everybody_used_it(self, times: int = 2, within: float = 60) -> None:
        """Return when every visitor has had that many more changes acknowledged. Stuck if not in time."""
        goal = {each: _acked(each) + times for each in self.visitors}
        async with asyncio.timeout(within):
            while any(_acked(each) < wanted and not each.log.failure for each, wanted in goal.items()):
                for task in self._living:
                    if task.done():
                        task.result()  # whatever a visitor did not foresee
                await asyncio.sleep(0.05)
        self._nobody_is_stuck()

    async def everybody_moved(self, times: int, within: float = 90) -> None:
        """Return when every visitor has come back that many times in all. Stuck if not in time."""
        async with asyncio.timeout(within):
            while any(  # noqa: ASYNC110 - their logs have no events
                len(each.log.moves) < times and not each.log.failure for each in self.visitors
            ):
                await asyncio.sleep(0.05)
        self._nobody_is_stuck()

    def _nobody_is_stuck(self) -> None:
        failed = [each.log.failure for each in self.visitors if each.log.failure]
        if failed:
            raise Stuck("; ".join(failed[:3]))


def _acked(visitor: Visitor) -> int:
    return sum(1 for change in visitor.log.changes if change.acked is not None)
