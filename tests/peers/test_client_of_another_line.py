"""`bokeh.client` of one line of Bokeh with a server of the other: pulled, pushed and shown sessions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.lines import both_pythons

PULL = """
session = pull_session(url=url)
freq = session.document.select_one({"name": "freq"})
wave = session.document.select_one({"name": "wave"})
before = list(wave.data["y"])
freq.value = 2.0
session.force_roundtrip()
again = pull_session(session_id=session.id, url=url)
assert again.document.select_one({"name": "freq"}).value == 2.0
assert list(again.document.select_one({"name": "wave"}).data["y"]) != before
"""

PUSH = """
document = Document()
document.add_root(Slider(name="pushed", start=0, end=10, value=3))
document.add_root(ColumnDataSource(name="data", data={"x": np.arange(1000)}))
session = push_session(document, url=url)
document.select_one({"name": "pushed"}).value = 7
session.force_roundtrip()
again = pull_session(session_id=session.id, url=url)
assert again.document.select_one({"name": "pushed"}).value == 7
assert len(again.document.select_one({"name": "data"}).data["x"]) == 1000
"""

SHOW = """
shown = []
webbrowser.open = lambda address, **options: shown.append(address)
session = pull_session(url=url)
show_session(session=session)
assert session.id in shown[0]
assert session.id in token_of(urllib.request.urlopen(shown[0]).read().decode())
"""

BEGIN = """
import re, sys, urllib.request, webbrowser
import numpy as np
from bokeh.client import pull_session, push_session, show_session
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Slider
from bokeh.util.token import get_session_id

url = sys.argv[1]


def token_of(page):
    return get_session_id(re.search(r'"token":"([^"]+)"', page)[1])

"""


@pytest.mark.parametrize("server", ["older", "newer"])
@pytest.mark.parametrize("script", [PULL, PUSH, SHOW], ids=["pull", "push", "show"])
def test_it_works(server: str, script: str, examples: Path, replica: Callable[..., Replica]) -> None:
    older, newer = both_pythons()
    ours, theirs = (older, newer) if server == "older" else (newer, older)
    running = replica([examples / "sliders.py"], python=ours)
    command = [theirs, "-W", "ignore", "-c", BEGIN + script, running.app_url()]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert not running.matching("ERROR")
