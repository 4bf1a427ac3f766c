"""`make loadtest`: a fleet on loopback, locust in front of it, and a report with plots."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from devfleet.fleet import Fleet
from devfleet.processes import Process

from loadtests import report
from loadtests.scenarios import SCENARIOS, Scenario
from loadtests.watch import Watcher

ROOT = Path(__file__).parent.parent


def main() -> int:
    scenario, output = arguments()
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.jsonl"):
        old.unlink()
    print(f"{scenario.name}: {scenario.text}")
    args = list(scenario.args)
    with Fleet([ROOT / "examples" / f"{scenario.app}.py"], n=scenario.replicas, args=args) as fleet:
        size = f"{scenario.users} tabs, {scenario.seconds:g} s"
        print(f"{scenario.replicas} replicas behind {fleet.url}, {size}")
        with Watcher(lambda: fleet.replicas, output / "samples.jsonl") as watcher:
            marks = run(scenario, fleet, watcher, output)
        faults = [line for replica in fleet.replicas for line in replica.matching(r"ERROR|Traceback")]
    page = report.write(output, f"{scenario.name}: {scenario.text}", marks)
    return verdict(page, faults)


def run(scenario: Scenario, fleet: Fleet, watcher: Watcher, output: Path) -> list[report.Mark]:
    """The load and what happens meanwhile; when what happened."""
    marks: list[report.Mark] = []
    actions = list(scenario.actions)
    with locust(fleet.url, scenario, output / "events.jsonl") as load:
        begun = time.time()
        while load.running:
            if actions and time.time() - begun > actions[0][0] * scenario.seconds:
                _, action = actions.pop(0)
                marks.append(report.Mark(time.time(), action.__name__))
                action(fleet)
                marks.append(report.Mark(time.time(), f"{action.__name__} done"))
            progress(scenario, time.time() - begun, watcher)
            time.sleep(0.5)
    if not (output / "events.jsonl").exists():
        raise SystemExit(f"locust did not do anything:\n{load.tail()}")
    print()
    return marks


def locust(url: str, scenario: Scenario, events: Path) -> Process:
    """The load generator, which ends by itself."""
    command = [
        sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests/locustfile.py"), "--headless",
        "--host", url, "--users", str(scenario.users), "--spawn-rate", str(scenario.rate),
        "--run-time", f"{int(scenario.seconds)}s", "--stop-timeout", "5", "--only-summary",
    ]  # fmt: skip
    env = {
        "SVC_LOAD_APP": scenario.app,
        "SVC_LOAD_THINK": str(scenario.think),
        "SVC_LOAD_EVENTS": str(events),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}",
    }
    return Process("locust", command, env=env)


def progress(scenario: Scenario, seconds: float, watcher: Watcher) -> None:
    if sys.stdout.isatty():
        loads = "  ".join(f"{s.replica.split()[-1]}:{s.sessions:.0f}" for s in watcher.latest())
        seconds = min(seconds, scenario.seconds)
        print(f"\r{seconds:4.0f}/{scenario.seconds:.0f} s  sessions {loads}   ", end="")
        sys.stdout.flush()


def verdict(page: report.Summary, faults: list[str]) -> int:
    print(page.text)
    for line in faults[:10]:
        print("log:", line)
    print(f"report: {page.path}")
    return 1 if page.failures or faults else 0


def arguments() -> tuple[Scenario, Path]:
    parser = argparse.ArgumentParser(prog="make loadtest ARGS='...'", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="steady", choices=sorted(SCENARIOS))
    parser.add_argument("--users", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--replicas", type=int)
    parser.add_argument("--report", type=Path, help="the report's directory (a temporary one if not given)")
    given = parser.parse_args()
    asked = {name: getattr(given, name) for name in ("users", "seconds", "replicas")}
    changes = {name: value for name, value in asked.items() if value is not None}
    output = given.report or Path(tempfile.mkdtemp(prefix=f"load-{given.scenario}-"))
    return dataclasses.replace(SCENARIOS[given.scenario], **changes), output.resolve()


if __name__ == "__main__":
    sys.exit(main())
