"""One child process whose output is read line by line, and which never outlives its parent.

Everything waits with a deadline for something that happens (a line, an exit), never for time to pass.
What went wrong is told together with the last lines of the child's own log.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, ClassVar, Protocol, Self
from weakref import WeakSet

_started: WeakSet[Process] = WeakSet()


class ProcessFailed(RuntimeError):
    """The child died or did not do in time what it was started for; the message ends with its log."""


class Child(Protocol):
    """What is needed of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: signal.Signals, /) -> None: ...


class Process:
    """A child process. `start()` it, or use it as a context manager; both leave `lines` filling up.

    `env` is added to the parent's environment; an entry of None removes the variable.
    """

    orphan_signal: ClassVar[str] = "KILL"
    """What the kernel sends it if we are killed ourselves; one that has children needs time to end them."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.argv = [os.fspath(part) for part in argv]
        self.lines: list[str] = []
        self._env = _environment(env or {})
        self._cwd = cwd
        self._pass_fds = pass_fds
        self._news = threading.Condition()
        self._ended = False
        self._popen: Child | None = None
        self._reader: threading.Thread | None = None

    def set_env(self, env: Mapping[str, str | None]) -> None:
        """From its next start on; in the place of the `env` that it was made with."""
        self._env = _environment(env)

    # life

    def start(self) -> Self:
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self._close()
        self._ended = False
        self._popen = self._launch()
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}", daemon=True)
        self._reader.start()
        _started.add(self)
        return self

    def stop(self, timeout: float = 30) -> int | None:
        """SIGTERM, any number of times, in any state. The exit code.

        Who does not end within `timeout` seconds is killed, and that is an error (ProcessFailed).
        """
        if self._popen is None:
            return None
        if self.running:
            self.resume()
            self.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._end_by_force()
            raise self._failure(f"did not stop within {timeout} s of SIGTERM") from None
        self._close()
        return self._popen.returncode

    def send_signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM, without waiting: `wait()` for the exit."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no goodbye. The process is gone when this returns."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, dead to everybody else."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.send_signal(signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def wait(self, timeout: float = 40) -> int:
        """The exit code, which is there within `timeout` seconds (else ProcessFailed)."""
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._failure(f"still runs after {timeout} s") from None
        if self._reader is not None:
            self._reader.join(timeout)
        return code

    # state

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._popen is None else self._popen.poll()

    # log

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def tail(self, count: int = 40) -> str:
        return "\n".join(self.lines[-count:])

    def matching(self, pattern: str) -> list[str]:
        """The lines so far in which the regular expression `pattern` is found."""
        return [line for line in self.lines if re.search(pattern, line)]

    def wait_line(self, pattern: str, timeout: float = 30, *, after: int = 0) -> re.Match[str]:
        """The first match of `pattern` in a line (from line number `after` on), past or yet to come."""
        deadline = time.monotonic() + timeout
        seen = after
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = max(seen, len(self.lines))
                if self._ended:
                    raise self._failure(f"ended without a line like {pattern!r}")
                if not self._news.wait(deadline - time.monotonic()):
                    raise self._failure(f"no line like {pattern!r} within {timeout} s")

    # parts

    def _launch(self) -> Child:
        return subprocess.Popen(
            [*_die_with_parent(self.orphan_signal), *self.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in order
            pass_fds=self._pass_fds,
        )

    @property
    def _child(self) -> Child:
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._popen

    def _end_by_force(self) -> None:
        """SIGABRT first: Python's fault handler, where it is on, then says where the process was."""
        self.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(2)
        self.send_signal(signal.SIGKILL)
        self._child.wait()
        self._close()

    def _read(self) -> None:
        stream = self._child.stdout
        assert stream is not None
        with stream:
            for line in stream:
                self._add(line.rstrip("\n"))
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _add(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.join(5)

    def _failure(self, what: str) -> ProcessFailed:
        if self._ended:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(1)  # its output ends a moment before it does
        state = "running" if self.running else f"exit code {self.exit_code}"
        return ProcessFailed(f"{self.name} ({state}): {what}; its log ends with\n{self.tail()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{f' pid {self.pid}' if self._popen else ''}>"


def running() -> list[Process]:
    """The processes started from here which still run, oldest first."""
    return sorted((each for each in _started if each.running), key=lambda each: each.pid)


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _die_with_parent(number: str) -> list[str]:
    """A prefix for the command line that ends the child with us, even if we are killed ourselves.

    The kernel ties this to the thread that starts the child, so it is left out in short-lived threads.
    """
    found = shutil.which("setpriv")
    if found is None or threading.current_thread() is not threading.main_thread():
        return []
    return [found, "--pdeathsig", number, "--"]
