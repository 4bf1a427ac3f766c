"""A library that one thread imports for the first time breaks nothing on the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PANDAS = """
import gate
gate.begun.set()
gate.go_on.wait(30)
class Series: pass
class DataFrame: pass
class Index: pass
class Timestamp: pass
class Timedelta: pass
class Period: pass
NaT = NA = None
"""

GATE = """
from threading import Event
begun, go_on, streamed = Event(), Event(), Event()
"""

STREAMS_MEANWHILE = """
import sys, threading
sys.path.insert(0, {folder!r})
import gate
from bokeh.models import ColumnDataSource
{install}
source = ColumnDataSource({{"x": [1]}})

def streams():
    source.stream({{"x": [2]}})

threading.Thread(target=lambda: __import__("pandas")).start()
gate.begun.wait(30)
streaming = threading.Thread(target=streams)
streaming.start()
streaming.join(0.2)
gate.go_on.set()
streaming.join(30)
print(source.data["x"])
"""

INSTALL = "from service.documents import half_imported; half_imported.install()"


@pytest.mark.parametrize("install", [INSTALL, ""], ids=["ours", "bokeh's"])
def test_rows_are_streamed_while_pandas_is_imported(tmp_path: Path, install: str) -> None:
    """A pandas that takes its time, in a process that has not seen it yet."""
    (tmp_path / "pandas.py").write_text(PANDAS)
    (tmp_path / "gate.py").write_text(GATE)
    code = STREAMS_MEANWHILE.format(folder=str(tmp_path), install=install)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )

    assert ended.stdout.strip() == ("[1, 2]" if install else "[1]"), ended.stderr
    assert ("has no attribute 'Series'" in ended.stderr) != bool(install)
