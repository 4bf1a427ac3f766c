"""Apps with modules called as our packages are, served from their own folder: all have their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import pytest
from devfleet.replica import Replica
from harness.client import Client
from harness.tools import require

pytestmark = pytest.mark.usefixtures("own_command_line")

MAIN = """
import service, store
from bokeh.io import curdoc
from bokeh.models import Div
from svc import fleet, session_state

session_state(curdoc())["store"] = store.NAME
curdoc().add_root(Div(name="found", text=f"{store.NAME}, {service.NAME}, {fleet.shared.__name__}"))
"""


class AsModule(Replica):
    command: ClassVar = [sys.executable, "-m", "svc", "serve"]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "store.py").write_text("NAME = 'my store'")
    (tmp_path / "service.py").write_text("NAME = 'my service'")
    return tmp_path


@pytest.mark.parametrize("started", [Replica, AsModule])
@pytest.mark.parametrize("processes", ["1", "2"])
async def test_in_their_own_folder(app: Path, started: type[Replica], processes: str) -> None:
    if processes != "1":
        require("redis-server")
    within = ["env", "-C", str(app)]
    with started([app], name="same names", args=["--num-procs", processes], within=within) as server:
        async with await Client.open(server.app_url()) as client:
            found = client.document.select_one({"name": "found"}).text

    assert found == "my store, my service, shared"
