"""``--num-procs``: several replicas on one port, started and replaced by a small parent process.

The parent opens the port, so that it stays open whoever crashes, and without ``--redis`` starts a
redis-server of its own for them. It serves nothing and imports no app. On Linux it imports what its children
need and forks them, so they begin at once and share that memory; elsewhere each begins as a new program.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import logging
import os
import pickle
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import service
from service import exit_codes
from service.apps.forked import end_process
from service.cli import worker
from service.cli.serve import import_server
from service.errors import ConfigError
from service.listening import Inherited, open_public_sockets
from service.settings import Settings

__all__ = ("run",)

log = logging.getLogger(__name__)

FORKS = sys.platform == "linux"
"""Elsewhere libraries of the system may not survive it."""

MIN_LIFE_SECONDS = 5.0
"""A child that dies younger than this is replaced after a pause."""

REDIS_START_SECONDS = 20.0
"""That a private redis-server has to begin to answer."""


def run(settings: Settings) -> int:
    """Serve from ``settings.num_procs`` processes until SIGTERM or SIGINT; the exit status."""
    if FORKS:
        import_server()  # for the children
        import bokeh.plotting  # noqa: F401 - most apps do
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    sockets = open_public_sockets(settings)
    try:
        async with _store(settings) as settings:
            family = Family(settings, tuple(each.fileno() for each in sockets))
            return await family.live()
    finally:
        for each in sockets:
            each.close()
        if settings.unix_socket:
            with suppress(OSError):
                os.unlink(settings.unix_socket)


class Family:
    """The children: one supervisor task each."""

    def __init__(self, settings: Settings, sockets: tuple[int, ...]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._lifeline, self._held = os.pipe()
        self._stopping = asyncio.Event()
        self._children: set[_Child] = set()
        self._failed: int | None = None

    async def live(self) -> int:
        """Until a signal comes, or the first child cannot be started at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        first = asyncio.Event()
        tasks = [asyncio.create_task(self._keep_one(0, first))]
        # What is wrong with the options or an app is then said once, not by every child.
        await first.wait()
        if not self._stopping.is_set():
            more = range(1, self._settings.num_procs)
            tasks += [asyncio.create_task(self._keep_one(number, asyncio.Event())) for number in more]
        await asyncio.gather(*tasks)
        os.close(self._held)
        os.close(self._lifeline)
        return self._failed or exit_codes.SUCCESS

    def _stop(self) -> None:
        self._stopping.set()
        for child in self._children:
            with suppress(ProcessLookupError):
                child.terminate()

    async def _keep_one(self, number: int, ready: asyncio.Event) -> None:
        """One child after the other, until all stop."""
        pause = 0.1
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._one(number, ready)
            was_ready = ready.is_set()
            ready.set()
            if self._stopping.is_set():
                return
            if code == exit_codes.USAGE and not was_ready:
                self._failed = code
                self._stop()
                return
            log.warning("process %d ended with code %d: starting another", number, code)
            pause = 0.1 if loop.time() - started > MIN_LIFE_SECONDS else min(pause * 2, MIN_LIFE_SECONDS)
            await _first_of(self._stopping.wait(), asyncio.sleep(pause))

    async def _one(self, number: int, ready: asyncio.Event) -> int:
        """Start a child and wait for its end; its exit code."""
        loaded, loading = os.pipe()
        settings = dataclasses.replace(self._settings, num_procs=1, show=self._settings.show and number == 0)
        inherited = Inherited(self._sockets, self._lifeline, loading)
        child = _fork(settings, inherited, self._held) if FORKS else await _execute(settings, inherited)
        os.close(loading)
        self._children.add(child)
        if self._stopping.is_set():
            child.terminate()
        asyncio.get_running_loop().add_reader(loaded, _seen, loaded, ready)
        try:
            return await child.wait()
        finally:
            asyncio.get_running_loop().remove_reader(loaded)
            os.close(loaded)
            self._children.discard(child)


class _Child(Protocol):
    """A process that was started here."""

    def terminate(self) -> None: ...

    async def wait(self) -> int: ...


class _Forked:
    """Has this process's modules. ``pidfd`` becomes readable when it has ended."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)

    def terminate(self) -> None:
        """Not once :meth:`wait` has returned."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    async def wait(self) -> int:
        """Its exit code; minus the number of the signal that ended it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
        _, status = os.waitpid(self._pid, 0)  # noqa: ASYNC222 - it has ended
        os.close(self._pidfd)
        return os.waitstatus_to_exitcode(status)


def _fork(settings: Settings, inherited: Inherited, held: int) -> _Forked:
    """Returns in the parent only. ``held`` is the end of the lifeline that nobody else may hold."""
    stopping = {signal.SIGTERM, signal.SIGINT}
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that came before the child has handlers of its own would go to the parent's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    pid = -1
    try:
        with warnings.catch_warnings():
            # Python sees the threads of numpy, which are prepared for this. There is no other,
            # but for that in which asyncio (3.11) waits for redis-server.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid:
        return _Forked(pid)
    try:
        os.close(held)
        _begin_anew(before)
        ended: BaseException = SystemExit(worker.serve_as_child(settings, inherited))
    except BaseException as error:  # noqa: BLE001 - below is the parent's event loop
        ended = error
    logging.shutdown()
    end_process(ended)
    raise AssertionError("a child has no way back into its parent's event loop")


def _begin_anew(mask: set[signal.Signals | int]) -> None:
    """Leave the parent's session, signal handlers, standard input and random numbers.

    Its event loop Python leaves by itself.
    """
    os.setsid()  # a Ctrl-C in the terminal is the parent's to hand on
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # Python's own has new ones by itself


class _Executed:
    """A program of its own, which reads what it needs."""

    def __init__(self, process: asyncio.subprocess.Process, given: bytes) -> None:
        self._process = process
        self._given = given

    def terminate(self) -> None:
        self._process.terminate()

    async def wait(self) -> int:
        await self._process.communicate(self._given)
        assert self._process.returncode is not None
        return self._process.returncode


async def _execute(settings: Settings, inherited: Inherited) -> _Executed:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *_python_flags(),
        "-m",
        "service.cli.worker",
        stdin=asyncio.subprocess.PIPE,
        pass_fds=(*inherited.sockets, inherited.lifeline, inherited.ready),
        start_new_session=True,
    )
    return _Executed(process, pickle.dumps((settings, inherited)))


def _python_flags() -> Sequence[str]:
    """Without ``-P`` modules come from the present folder first, where an app's own service.py may be."""
    return () if Path(service.__file__).parents[1] == Path.cwd() else ("-P",)


def _seen(pipe: int, ready: asyncio.Event) -> None:
    """The child closed its end: it has loaded the apps, or died (which its supervisor looks at first)."""
    asyncio.get_running_loop().remove_reader(pipe)
    asyncio.get_running_loop().call_later(0.1, ready.set)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Settings]:
    """``settings`` with a store that processes can share. Raises ConfigError."""
    if settings.redis is not None:
        yield settings
        return
    program = shutil.which("redis-server")
    if program is None:
        raise ConfigError(
            "--num-procs needs a Redis that the processes share: install redis-server "
            "(apt-get install redis-server), or give --redis"
        )
    with tempfile.TemporaryDirectory(prefix="svc-redis-") as home:
        path = Path(home, "redis.sock")
        server = await _start_redis(program, home, path)
        try:
            yield dataclasses.replace(settings, redis=f"unix://{path}")
        finally:
            with suppress(ProcessLookupError):
                server.terminate()
            await server.wait()


async def _start_redis(program: str, home: str, path: Path) -> asyncio.subprocess.Process:
    """A redis-server without port and without files, which ends with this process."""
    flags = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "save": "", "appendonly": "no"}
    flags |= {"dir": home, "daemonize": "no", "loglevel": "warning"}
    server = await asyncio.create_subprocess_exec(
        program,
        *(part for name, value in flags.items() for part in (f"--{name}", value)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    deadline = asyncio.get_running_loop().time() + REDIS_START_SECONDS
    while not os.path.exists(path):  # noqa: ASYNC240 - one stat
        if server.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise ConfigError(f"{program} does not start; give --redis")
        await asyncio.sleep(0.02)
    return server


def _die_with_parent() -> None:
    """Linux: SIGKILL when the parent is gone, so that a killed parent leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


async def _first_of(*waits: object) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
