"""Nurseries: processes that have imported what `svc serve` imports, and fork a replica when asked to.

For tests, which start hundreds: most of what a start costs is imports. A replica from a nursery runs the
very console script, as a session leader with its own environment, streams and randomness. Linux only.
What goes on in the nursery itself is in `nursery_process.py`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, Self

from devfleet.processes import Process

AVAILABLE = sys.platform == "linux" and hasattr(os, "pidfd_open")

SIZE = 3
"""Nurseries. Replicas from one share Python's hash seed, which those of a fleet must not."""

PATIENCE = 60.0
"""Seconds for a nursery to answer, its imports included."""

_INT = 4  # bytes: how pids and exit codes come


class Nurseries:
    """`fork()` replicas, each from the nursery with the fewest alive; all are gone after `close()`."""

    def __init__(self, script: str | os.PathLike[str], *, size: int = SIZE) -> None:
        self._nurseries = [Nursery(f"nursery {at}", script) for at in range(size)]
        self._turn = threading.Lock()

    def fork(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> Forked:
        """A process that runs the Python script `argv[0]`. ProcessFailed if its nursery does not answer."""
        with self._turn:
            nursery = min(self._nurseries, key=Nursery.alive)
            # The next of those that are equally good goes first.
            self._nurseries.remove(nursery)
            self._nurseries.append(nursery)
            if not nursery.started:
                nursery.start()
            return nursery.fork(argv, env=env, cwd=cwd)

    def close(self) -> None:
        for nursery in self._nurseries:
            nursery.stop()


class Nursery(Process):
    """One of them. Replicas that still run when it ends are killed by the kernel."""

    def __init__(self, name: str, script: str | os.PathLike[str]) -> None:
        self._control, self._theirs = socket.socketpair()
        program = Path(__file__).with_name("nursery_process.py")
        fd = self._theirs.fileno()
        super().__init__(name, [sys.executable, program, str(fd), script], pass_fds=[fd])
        self._forked: list[Forked] = []

    @property
    def started(self) -> bool:
        return self._popen is not None

    def alive(self) -> int:
        """How many replicas from here still run."""
        self._forked = [each for each in self._forked if each.poll() is None]
        return len(self._forked)

    def start(self) -> Self:
        super().start()
        self._theirs.close()
        return self

    def stop(self, timeout: float = 10) -> int | None:
        self._theirs.close()
        self._control.close()  # which ends it
        return super().stop(timeout)

    def fork(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> Forked:
        child = Forked(argv)
        try:
            child.begin(self._control, {"argv": argv, "env": env, "cwd": cwd or os.getcwd()})
        except OSError as error:  # a timeout as well
            child.give_up()
            raise self._failure(f"starts no replica ({error!r})") from error
        self._forked.append(child)
        return child


class Forked:
    """What `Process` needs of a Popen, for a child of a nursery, which tells the pid and the exit code."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.args = argv
        self.pid = 0
        self.returncode: int | None = None
        self._told, self._teller = socket.socketpair()
        self._told.settimeout(PATIENCE)
        weakref.finalize(self, self._told.close)
        output, self._output = os.pipe()
        self.stdout = open(output, errors="replace")  # noqa: SIM115 - closed by who reads it

    def begin(self, control: socket.socket, request: Mapping[str, Any]) -> None:
        """Returns when the nursery at the other end of `control` has forked. OSError if it does not."""
        try:
            socket.send_fds(control, [b"+"], [self._teller.fileno(), self._output])
        finally:
            self._teller.close()
            os.close(self._output)
        self._told.sendall(f"{json.dumps(request)}\n".encode())
        pid = self._told.recv(_INT, socket.MSG_WAITALL)
        if not pid:
            raise ConnectionError("it ended")
        self.pid = int.from_bytes(pid, sys.byteorder, signed=True)

    def give_up(self) -> None:
        self.stdout.close()

    def poll(self) -> int | None:
        if self.returncode is None and self._readable(0):
            # Only looked at, so that several threads can wait. A nursery that died has killed it.
            code = self._told.recv(_INT, socket.MSG_PEEK | socket.MSG_WAITALL)
            self.returncode = int.from_bytes(code, sys.byteorder, signed=True) if code else -SIGKILL
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._readable(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _readable(self, timeout: float | None) -> bool:
        waiting = select.poll()
        waiting.register(self._told, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else max(timeout, 0) * 1000))
