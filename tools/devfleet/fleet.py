"""The whole product on loopback: redis-server, a few replicas, and nginx in round robin before them.

What one starts with `Fleet` is what an operator would run, minus the machines: no affinity, no shared
memory, nothing the replicas could agree on but Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devfleet.nginx import Nginx
from devfleet.ports import LOOPBACK
from devfleet.redis_server import RedisServer
from devfleet.replica import AppPath, Replica


class Fleet:
    """`with Fleet([app, ...], n=3) as fleet: fleet.app_url()`.

    `args` are further flags for every replica; `make_last` makes the last one, and all listen on `address`.
    `pythons` are their interpreters, in turn, and `method` how nginx balances; `below`
    is a path that it takes away from what it passes on.
    The replicas are named a, b, c, ... in `replicas`; they can be killed, paused and started again one by
    one.
    """

    def __init__(
        self,
        apps: Sequence[AppPath],
        *,
        n: int = 3,
        args: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        prefix: str = "",
        redis: RedisServer | None = None,
        make_last: Callable[..., Replica] = Replica,
        address: str = LOOPBACK,
        pythons: Sequence[Path] = (),
        method: str = "",
        below: str = "",
    ) -> None:
        self.apps = [Path(app) for app in apps]
        self.redis = redis or RedisServer()
        self.nginx = Nginx([], method=method, below=below)
        self.replicas: list[Replica] = []
        self.prefix = prefix
        self._size = n
        self._owns_redis = redis is None
        self._make_last = make_last
        self._address = address
        self._args = list(args)
        self._env = env
        self._pythons = list(pythons)
        self._started = ExitStack()

    # life

    def start(self) -> Self:
        """Returns when every replica is ready and nginx accepts connections."""
        try:
            if self._owns_redis:
                self._started.enter_context(self.redis)
            self._started.enter_context(self.nginx)  # first: its address is an origin the replicas allow
            self.replicas = [self._new_replica(at) for at in range(self._size)]
            for replica in self.replicas:
                self._started.callback(replica.stop)
                replica.start(ready=False)
            for replica in self.replicas:
                replica.wait_started()
            self.balance_over(self.replicas)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops all in reverse order, but the replicas at the same time; nginx serves while they drain."""
        for replica in self.replicas:
            if replica.running:
                replica.resume()
                replica.terminate()
        self._started.close()

    def add_replica(self, python: Path | None = None) -> Replica:
        """One more replica, and nginx told about it; of another environment with its `python`."""
        replica = self._new_replica(len(self.replicas), python)
        self._started.callback(replica.stop)
        replica.start()
        self.replicas.append(replica)
        self.balance_over(self.replicas)
        return replica

    def balance_over(self, replicas: Sequence[Replica]) -> None:
        """Lets nginx send new connections to these only."""
        self.nginx.balance([replica.host for replica in replicas])

    # looks

    @property
    def url(self) -> str:
        return f"{self.nginx.url}{self.prefix.rstrip('/')}"

    def app_url(self, app: AppPath | None = None) -> str:
        """The page of `app` through nginx, by default that of the first one."""
        return f"{self.url}/{Path(app or self.apps[0]).stem}"

    def served_by(self, headers: Mapping[str, str]) -> Replica:
        """The replica that gave an answer with these headers through nginx."""
        address = headers["X-Served-By"].split(",")[-1].strip()
        return next(replica for replica in self.replicas if replica.host == address)

    def others(self, *replicas: Replica) -> list[Replica]:
        return [replica for replica in self.replicas if replica not in replicas]

    # parts

    def _new_replica(self, at: int, python: Path | None = None) -> Replica:
        if python is None and self._pythons:
            python = self._pythons[at % len(self._pythons)]
        other: dict[str, Any] = {} if python is None else {"python": python}
        make = self._make_last if at == self._size - 1 else Replica
        return make(
            self.apps,
            redis_url=self.redis.url,
            name=f"replica {chr(ord('a') + at)}",
            args=self._args,
            env=self._env,
            prefix=self.prefix,
            origins=[self.nginx.host],
            address=self._address,
            **other,
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
