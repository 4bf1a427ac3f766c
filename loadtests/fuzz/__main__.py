"""`make fuzz`: what nobody would send, for ten minutes: 0 tracebacks, 0 answers of 5xx, memory within bounds.

Beside each other: HTTP requests, handshakes, frames and messages for a real process, and one after the other
the parts without I/O, by atheris where it is installed. Findings are saved with what caused them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from devfleet.replica import Replica

from loadtests.fuzz.wire import APP, FLAGS, Findings, WireFuzz

PURE = ("frames", "offers", "messages", "arrays", "stored", "journals", "values", "signed")
"""Targets in :mod:`loadtests.fuzz.pure`, which is not imported here: it instruments what it imports."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    os.nice(10)
    print(f"seed {options.seed}", flush=True)
    if options.replay is not None:
        return asyncio.run(_replay(options))
    return asyncio.run(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    minutes = float(os.environ.get("FUZZ_MINUTES") or 10)
    add("--minutes", type=float, default=minutes, metavar="N",
        help="in all (default: 10, or what FUZZ_MINUTES says)")  # fmt: skip
    add(
        "--seed", type=int, default=random.randrange(2**31), help="to run the same again (default: by chance)"
    )
    add(
        "--rate",
        type=float,
        default=30,
        metavar="N",
        help="inputs a second on the wire (default: %(default)s)",
    )
    add("--only", nargs="*", choices=["wire", *PURE], metavar="TARGET", help="some: %(choices)s")
    add("--replay", type=int, metavar="NUMBER", help="send that input of the seed alone, and show the log")
    add("--save", type=Path, default=Path("build/fuzz"), metavar="FOLDER", help="default: %(default)s")
    return parser


async def _run(options: argparse.Namespace) -> int:
    seconds, chosen = 60 * options.minutes, options.only or ["wire", *PURE]
    pure = [name for name in chosen if name != "wire"]
    how = "guided by coverage" if find_spec("atheris") else "by chance alone, as atheris is not installed"
    print(f"the parts without I/O: {how}", flush=True)
    jobs = [asyncio.to_thread(_run_pure, pure, seconds, options)]
    if "wire" in chosen:
        jobs.append(asyncio.create_task(_run_wire(seconds, options)))  # type: ignore[arg-type]
    faults = [fault for found in await asyncio.gather(*jobs) for fault in found]
    print(f"{len(faults)} findings" + (f", saved in {options.save}" if faults else ""))
    for fault in faults[:20]:
        print(f"  {fault[:300]}")
    return 1 if faults else 0


def _run_pure(names: Sequence[str], seconds: float, options: argparse.Namespace) -> list[str]:
    """One after the other, each for its share of the time; what was found."""
    faults = []
    for name in names:
        share, began = max(1, round(seconds / len(names))), time.monotonic()
        command = [sys.executable, "-m", "loadtests.fuzz.pure", name, "--seconds", str(share)]
        command += ["--seed", str(options.seed % 2**31 or 1), "--save", str(options.save)]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        output = ended.stdout + ended.stderr
        runs = [line.split()[-1] for line in output.splitlines() if "number_of_executed_units" in line]
        print(f"{name}: {runs[0] if runs else '?'} runs in {time.monotonic() - began:.0f} s, "
              f"exit code {ended.returncode}", flush=True)  # fmt: skip
        if ended.returncode:
            options.save.mkdir(parents=True, exist_ok=True)
            (options.save / f"{name}.log").write_text(output)
            faults.append(f"{name}: {output.strip()[-1500:]}")
    return faults


async def _run_wire(seconds: float, options: argparse.Namespace) -> list[str]:
    server = Replica([APP], name="fuzzed", args=FLAGS).start(ready=False)
    try:
        await asyncio.to_thread(server.wait_started)
        fuzz = WireFuzz(server, options.seed, options.save, per_second=options.rate)
        await fuzz.run(seconds)
        _report(fuzz.found)
        return fuzz.found.faults
    finally:
        await asyncio.to_thread(server.stop, 30)


def _report(found: Findings) -> None:
    print(f"wire: {found}", flush=True)


async def _replay(options: argparse.Namespace) -> int:
    server = Replica([APP], name="fuzzed", args=[*FLAGS, "--log-level", "debug"]).start(ready=False)
    try:
        await asyncio.to_thread(server.wait_started)
        fuzz = WireFuzz(server, options.seed, options.save, per_second=1)
        await fuzz.replay(options.replay)
        await asyncio.sleep(1)
    finally:
        await asyncio.to_thread(server.stop, 30)
    print(server.log)
    return 1 if fuzz.found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
