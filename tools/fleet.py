"""A fleet on this machine to look at: redis-server, replicas and nginx, on loopback, until Ctrl-C.

`make fleet` runs this. It prints the URL, what the replicas log, and every few seconds what the store knows
about who holds what.
Everything is on free ports and in temporary directories, and is gone when this ends.
"""

from __future__ import annotations

import argparse
import json
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devfleet.fleet import Fleet
from devfleet.nginx import find_nginx
from devfleet.processes import ProcessFailed

EXAMPLES = Path(__file__).parent.parent / "examples"
APPS = [EXAMPLES / name for name in ("sliders.py", "weather", "streaming.py", "explorer.py")]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if missing := _missing_programs():
        return _fail(f"not installed: apt-get install {' '.join(missing)}")
    with _noticed_signals() as signals:
        _say("starting ...")
        try:
            with Fleet(options.apps or APPS, n=options.replicas, args=options.serve_args) as fleet:
                _show(fleet, signals, options.every)
                _say("\nstopping ...")
        except ProcessFailed as failure:
            return _fail(str(failure))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "apps", nargs="*", type=Path, metavar="APP", help="apps to serve (default: the examples)"
    )
    parser.add_argument(
        "--replicas", type=int, default=3, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=float, default=5, metavar="SECONDS", help="between two looks (default: %(default)s)"
    )
    parser.add_argument(
        "--serve-args", nargs=argparse.REMAINDER, default=[], help="all that follows goes to `svc serve`"
    )
    return parser


def _missing_programs() -> list[str]:
    """The Debian packages that are needed and not there."""
    found = {"redis-server": shutil.which("redis-server"), "nginx": find_nginx()}
    return [package for package, path in found.items() if path is None]


@contextmanager
def _noticed_signals() -> Iterator[socket.socket]:
    """A socket with something to read once there was a Ctrl-C or SIGTERM.

    Not an exception: raised out of a handler it may land in a `__del__`, where Python drops it.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno())
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, frame: None)
        yield reader
        signal.set_wakeup_fd(before)


def _show(fleet: Fleet, signals: socket.socket, every: float) -> None:
    """Prints what is there, then what the replicas hold, whenever that changed, until a signal."""
    _say(f"{len(fleet.replicas)} replicas behind nginx, Redis at {fleet.redis.url}")
    for replica in fleet.replicas:
        _say(f"  {replica.name}  pid {replica.pid}  {replica.url}")
    _say(f"metrics: curl {fleet.replicas[0].url}/metrics, and so on")
    for app in fleet.apps:
        _say(f"open {fleet.app_url(app)}")
    _say("Ctrl-C stops everything")
    shown: object = None
    said = {replica.name: 0 for replica in fleet.replicas}
    while not select.select([signals], [], [], 0)[0]:
        _show_logs(fleet, said)
        if (held := _held(fleet)) != shown:
            _say(f"\n{time.strftime('%H:%M:%S')}\n{_status(fleet)}")
            shown = held
        _wait_for_news(fleet, said, signals, every)


def _wait_for_news(fleet: Fleet, said: dict[str, int], signals: socket.socket, seconds: float) -> None:
    """Until a signal, or for so long; what replicas log is shown meanwhile."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([signals], [], [], min(left, 0.2))[0]:
            return
        _show_logs(fleet, said)


def _show_logs(fleet: Fleet, said: dict[str, int]) -> None:
    """What the replicas have logged, or apps have printed, since the last time."""
    for replica in fleet.replicas:
        lines = replica.lines[said[replica.name] :]
        said[replica.name] += len(lines)
        for line in lines:
            _say(f"{replica.name} | {line}")


def _held(fleet: Fleet) -> object:
    """Which replicas there are and who holds what: that of the status which does not change by itself."""
    answer = _svc_status(fleet, "--json")
    if answer.returncode:
        return answer.stderr, _ended(fleet)
    found = json.loads(answer.stdout)
    replicas = [(each["replica"], each["connections"], each["draining"]) for each in found["replicas"]]
    return replicas, [(each["session"], each["owner"]) for each in found["sessions"]], _ended(fleet)


def _status(fleet: Fleet) -> str:
    """What `svc status` says, and which replica is no longer there."""
    answer = _svc_status(fleet)
    return "\n".join([answer.stdout.rstrip() or answer.stderr.rstrip(), *_ended(fleet)])


def _ended(fleet: Fleet) -> list[str]:
    return [
        f"{each.name} ended with exit code {each.exit_code}" for each in fleet.replicas if not each.running
    ]


def _svc_status(fleet: Fleet, *more: str) -> subprocess.CompletedProcess[str]:
    command = [fleet.replicas[0].command[0], "status", "--redis", fleet.redis.url, "--sessions", *more]
    return subprocess.run(command, capture_output=True, text=True, start_new_session=True)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"fleet: {text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
