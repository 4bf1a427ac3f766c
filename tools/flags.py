"""Whether the tests of each flag of `bokeh serve` fail when that flag is ignored (what `make flags` runs).

Takes minutes: for each flag its tests are run once more, on servers that are not given the flag. Flags as
arguments limit it to those.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.ignoring import FLAGS, covering

ROOT = Path(__file__).parents[1]


def main(flags: list[str]) -> int:
    tests = covering(ROOT / "tests")
    verdicts = [fails(flag, test) for flag in flags or FLAGS for test in tests[flag]]
    print(f"{sum(verdicts)} of {len(verdicts)} tests fail when their flag is ignored")
    return not all(verdicts)


def fails(flag: str, test: str) -> bool:
    """Whether that test fails without the flag."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command = [*pytest, f"--ignoring={flag}", test]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    verdict = {0: "PASSES", 1: "fails"}.get(done.returncode, f"pytest says {done.returncode}")
    print(f"{flag:36} {verdict:8} {test}", flush=True)
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
