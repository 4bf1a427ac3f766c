"""One server process: a replica of ours (`svc serve`), or the reference peer (`bokeh serve`).

Both speak the same protocol and take much the same flags, so whatever talks to the one can be tried on
the other. A server is started when it answers HTTP, not when its process exists.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from devfleet.nursery import Nurseries
from devfleet.ports import LOOPBACK, free_port
from devfleet.processes import Child, Process, ProcessFailed

AppPath = str | os.PathLike[str]

_RUNNING_AT = r"running at:?\s+(https?://[^\s/]+)"
_PORT_TAKEN = r"(?i)\b(already )?in use\b"
_ATTEMPTS = 3


class Server(Process):
    """A server process on a loopback port of its own; stopping and starting it again keeps the port.

    `apps` are app paths, `args` are further flags. The origins allowed to open WebSockets are the server's
    own address and `origins` (each a `host:port`). `within` is a command that runs the server's own.
    """

    command: ClassVar[Sequence[str]]
    ready_path: ClassVar[str] = "/static/js/bokeh.min.js"

    def __init__(
        self,
        apps: Sequence[AppPath],
        *,
        name: str,
        args: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        prefix: str = "",
        origins: Sequence[str] = (),
        port: int | None = None,
        timeout: float = 60,
        address: str = LOOPBACK,
        within: Sequence[str] = (),
    ) -> None:
        super().__init__(name, self.command, env=env)
        self.address = address
        self._within = list(within)
        self.apps = [Path(app) for app in apps]
        self.prefix = prefix.rstrip("/")
        self.port = port or free_port()
        self._fixed_port = port is not None
        self._args = list(args)
        self._origins = list(origins)
        self._timeout = timeout
        self._first_line = 0

    @property
    def host(self) -> str:
        """`host:port`, as in an Origin or Host header."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.prefix}"

    def app_url(self, app: AppPath | None = None) -> str:
        """The page of `app` (a path given at the start, or a name), by default that of the first one."""
        return f"{self.url}/{Path(app or self.apps[0]).stem}"

    def start(self, *, ready: bool = True) -> Self:
        """Spawns the server; with `ready`, returns when it answers (ProcessFailed if it does not)."""
        self._spawn()
        if ready:
            self.wait_started()
        return self

    def wait_started(self) -> None:
        """Completes `start(ready=False)`. Takes another port if somebody took ours before we could."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                self.wait_ready(after=self._first_line)
                break
            except ProcessFailed:
                self.stop()
                if not attempts_left or not self._lost_its_port():
                    raise
                self.port = free_port()
                self._spawn()

    def configure(self, *flags: str) -> None:
        """Further flags from its next start on; the last of several counts."""
        end = self._args.index("--args") if "--args" in self._args else len(self._args)
        self._args[end:end] = flags

    async def start_async(self) -> Self:
        """`start()` for a running event loop."""
        return await asyncio.to_thread(self.start)

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def wait_ready(self, timeout: float | None = None, *, after: int = 0) -> None:
        """Returns when the server has printed its URL and answers 200 on its readiness path."""
        deadline = time.monotonic() + (timeout or self._timeout)
        self.wait_line(_RUNNING_AT, deadline - time.monotonic(), after=after)
        while self.status(self.ready_path) != 200:
            if not self.running or time.monotonic() > deadline:
                raise self._failure(f"does not answer 200 on {self.ready_path}")
            time.sleep(0.02)

    def status(self, path: str, timeout: float = 10) -> int | None:
        """The HTTP status for GET `path` (below the prefix); None if nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code
        except OSError:
            return None

    def _command_line(self) -> list[str]:
        line = [*self._within, *self.command, *map(str, self.apps)]
        line += ["--address", self.address, "--port", str(self.port)]
        for origin in [self.host, f"localhost:{self.port}", *self._origins]:
            line += ["--allow-websocket-origin", origin]
        if self.prefix:
            line += ["--prefix", self.prefix]
        return [*line, *self._args]

    def _spawn(self) -> None:
        self.argv = self._command_line()
        self._first_line = len(self.lines)
        super().start()

    def _lost_its_port(self) -> bool:
        last_log = "\n".join(self.lines[self._first_line :])
        return not self._fixed_port and re.search(_PORT_TAKEN, last_log) is not None


class Replica(Server):
    """One `svc serve` process; without `redis_url` it runs on its embedded store, alone.

    `python` is the interpreter of another environment, with other versions installed.
    """

    command: ClassVar[Sequence[str]] = (str(Path(sys.executable).with_name("svc")), "serve")
    ready_path = "/healthz"
    good_exits: ClassVar[frozenset[int]] = frozenset({0})
    """Exit codes after SIGTERM."""
    nurseries: ClassVar[Nurseries | None] = None
    """Where replicas come from if they need nothing that only a command line of their own can give."""

    def __init__(
        self,
        apps: Sequence[AppPath],
        *,
        redis_url: str | None = None,
        name: str = "replica",
        args: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        prefix: str = "",
        origins: Sequence[str] = (),
        port: int | None = None,
        timeout: float = 60,
        address: str = LOOPBACK,
        within: Sequence[str] = (),
        python: str | os.PathLike[str] | None = None,
    ) -> None:
        store = ["--redis", redis_url] if redis_url else []
        if python is not None:
            self.command = (str(python), "-m", "service", "serve")  # type: ignore[misc]  # its own
        super().__init__(
            apps,
            name=name,
            # Nothing balances by readiness here, so there is nothing to wait for at the end.
            args=[*store, "--drain-delay", "0", *args],
            env=env,
            prefix=prefix,
            origins=origins,
            port=port,
            timeout=timeout,
            address=address,
            within=within,
        )
        self._as_ever = not env and not within and python is None

    def set_env(self, env: Mapping[str, str | None]) -> None:
        super().set_env(env)
        self._as_ever = False  # such as libraries that are loaded first

    @property
    def id(self) -> str:
        """What it calls itself, since it was last started."""
        return self.wait_line(r"replica=(\w+)", after=self._first_line)[1]

    def _launch(self) -> Child:
        if self.nurseries is None or not self._as_ever:
            return super()._launch()
        return self.nurseries.fork(self.argv, env=self._env)


class BokehServe(Server):
    """The reference peer: `bokeh serve`, whose behaviour towards browsers is the one we promise."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "bokeh", "serve")


class PanelServe(Server):
    """The reference peer of Panel apps: `panel serve`."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "panel", "serve")
