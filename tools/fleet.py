"""A fleet on this machine to look at: redis-server, replicas and nginx, on loopback, until Ctrl-C.

`make fleet` runs this. It prints the URL, and every few seconds what the store knows about who holds what.
Everything is on free ports and in temporary directories, and is gone when this ends.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from devfleet.fleet import Fleet
from devfleet.nginx import find_nginx
from devfleet.processes import ProcessFailed

EXAMPLES = Path(__file__).parent.parent / "examples"
APPS = [EXAMPLES / name for name in ("sliders.py", "weather", "streaming.py", "explorer.py")]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if missing := _missing_programs():
        return _fail(f"not installed: apt-get install {' '.join(missing)}")
    _stop_on_signals()
    try:
        with Fleet(options.apps or APPS, n=options.replicas, args=options.serve_args) as fleet:
            try:
                _show(fleet, options.every)
            finally:
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


def _stop_on_signals() -> None:
    """The first Ctrl-C or SIGTERM unwinds from wherever we are; stopping is not interrupted by a second.

    The handler prints nothing: it may have interrupted a print, and those are not reentrant.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, leave)


def _show(fleet: Fleet, every: float) -> None:
    """Prints what is there, then what the replicas hold, whenever that has changed. Does not return."""
    _say(f"{len(fleet.replicas)} replicas behind nginx, Redis at {fleet.redis.url}")
    for replica in fleet.replicas:
        _say(f"  {replica.name}  pid {replica.pid}  {replica.url}")
    for app in fleet.apps:
        _say(f"open {fleet.app_url(app)}")
    _say("Ctrl-C stops everything")
    shown = ""
    while True:
        if (status := _status(fleet)) != shown:
            _say(f"\n{time.strftime('%H:%M:%S')}\n{status}")
            shown = status
        time.sleep(every)


def _status(fleet: Fleet) -> str:
    """What `svc status` says, and which replica is no longer there."""
    command = [fleet.replicas[0].command[0], "status", "--redis", fleet.redis.url]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    ended = [
        f"{each.name} ended with exit code {each.exit_code}" for each in fleet.replicas if not each.running
    ]
    return "\n".join([answer.stdout.rstrip() or answer.stderr.rstrip(), *ended])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"fleet: {text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
