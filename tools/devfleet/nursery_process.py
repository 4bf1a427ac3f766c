"""What runs in a nursery, as a script of its own: it imports, then forks until nobody can ask any more.

It imports what `svc serve` imports and not a module more, because all of it is there in each replica.
Started by `nursery.py`, which says what goes over the sockets.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

PR_SET_PDEATHSIG = 1


def fork_when_asked(control: socket.socket) -> tuple[int, int]:
    """Returns in every child, with what was handed over for it: where its parent is told, and its output."""
    living: dict[int, tuple[int, int]] = {}
    events = select.poll()
    events.register(control, select.POLLIN)
    while True:
        for fd, _ in events.poll():
            if fd in living:
                events.unregister(fd)
                tell_exit(fd, *living.pop(fd))
                continue
            _, fds, *_ = socket.recv_fds(control, 1, 2)
            if not fds:
                os._exit(0)  # the tests are over; the kernel ends who still runs
            told, output = fds
            if not (pid := os.fork()):
                control.detach()
                return told, output
            os.close(output)
            tell(told, pid)
            living[watched := os.pidfd_open(pid)] = pid, told
            events.register(watched, select.POLLIN)


def tell_exit(watched: int, pid: int, told: int) -> None:
    _, status = os.waitpid(pid, 0)
    tell(told, os.waitstatus_to_exitcode(status))
    os.close(told)
    os.close(watched)


def tell(told: int, number: int) -> None:
    with suppress(OSError):  # nobody wants to know any more
        os.write(told, number.to_bytes(4, sys.byteorder, signed=True))


def become_a_replica(nursery: int, told: int, output: int) -> str:
    """Takes on all that a fresh process has of its own; returns the path of the script to run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)
    os.setsid()
    with socket.socket(fileno=told) as conversation, conversation.makefile() as lines:
        request = json.loads(lines.readline())
    take_streams(output)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    reseed()
    sys.argv = request["argv"]
    return sys.argv[0]


def take_streams(output: int) -> None:
    """The standard ones, and none of the nursery's others."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def reseed() -> None:
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


if __name__ == "__main__":
    fd, script = sys.argv[1:]
    sys.path[0] = os.path.dirname(script)  # as for the script itself
    import service.cli.main
    import service.cli.serve

    service.cli.serve.import_server()
    import store.embedded  # noqa: F401 - for those without a Redis, as most are

    # A replica freezes all that it has when it has started; this much of it need not be looked at again.
    gc.collect()
    gc.freeze()
    nursery = os.getpid()
    handed = fork_when_asked(socket.socket(fileno=int(fd)))
    path = become_a_replica(nursery, *handed)
    # As the last thing of all: else the interpreter's collections at the exit look at every object, have each
    # page of the nursery's memory copied with that, and take more processor time than all else in a test.
    atexit.register(gc.freeze)
    # Here, outside of all functions, so that the end of the script is the end of the process, as ever.
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = path
    exec(compile(Path(path).read_text(), path, "exec"), vars(main))
