"""Another environment beside this one, with the other line of Bokeh: what is rolled out meets what is there.

Its interpreter is `OTHER_PYTHON`, or else that of a virtual environment of this checkout (`.venv*`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import bokeh
import pytest

ROOT = Path(__file__).parent.parent.parent
_ASK = "import bokeh, panel, service; print(bokeh.__version__)"


def line(version: str) -> tuple[int, ...]:
    """`(3, 10)` for `3.10.2`."""
    return tuple(int(part) for part in version.split(".")[:2])


@cache
def bokeh_of(python: Path) -> str | None:
    """The version of Bokeh that an interpreter can import along with Panel and this server, if it can."""
    try:
        asked = subprocess.run([python, "-W", "ignore", "-c", _ASK], capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return None
    return asked.stdout.strip() or None


def other_python() -> Path:
    """The interpreter of the other environment. Without one the test is skipped; under CI=true it fails."""
    for python in _candidates():
        version = bokeh_of(python)
        if version is not None and line(version) != line(bokeh.__version__):
            return python
    reason = "there is no second environment with another line of Bokeh: make one, or name its OTHER_PYTHON"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def both_pythons() -> tuple[Path, Path]:
    """The interpreter with the older line of Bokeh, and that with the newer one."""
    here, other = Path(sys.executable), other_python()
    older = line(str(bokeh_of(other))) < line(bokeh.__version__)
    return (other, here) if older else (here, other)


def _candidates() -> Iterator[Path]:
    named = os.environ.get("OTHER_PYTHON")
    if named:
        yield Path(named)
        return
    yield from sorted(ROOT.glob(".venv*/bin/python"))
