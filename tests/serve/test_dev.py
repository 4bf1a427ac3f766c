"""--dev: a page follows its app's files while it stays open, and shows what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from devfleet.replica import Replica
from harness.client import Client

Start = Callable[..., Replica]

APP = """
from bokeh.io import curdoc
from bokeh.models import Div
import helper
curdoc().add_root(Div(name="shown", text=helper.TEXT))
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.flags("--dev")
async def test_a_changed_file_is_shown_by_the_open_page(tmp_path: Path, replica: Start) -> None:
    write(tmp_path / "app/main.py", APP)
    write(tmp_path / "app/helper.py", "TEXT = 'one'\n")
    server = replica([tmp_path / "app"], args=["--dev", "--show"], env={"BROWSER": "true"})
    client = await Client.open(server.app_url())
    assert client.value("shown", "text") == "one"

    write(tmp_path / "app/helper.py", "TEXT = 'another'\n")
    assert await client.wait_closed(20) == 1012
    await client.reconnect()
    assert client.value("shown", "text") == "another"

    write(tmp_path / "app/main.py", APP + "def :\n")
    assert await client.wait_closed(20) == 1012
    await client.reconnect()
    assert "main.py" in str(client.document_json)

    write(tmp_path / "app/main.py", APP + "raise ValueError('with a traceback')\n")
    server.wait_line("reloading", after=len(server.lines))
    await client.close()
    await retry(client, "with a traceback")
    await client.close()


async def retry(client: Client, text: str) -> None:
    for _ in range(100):
        await client.reconnect()
        if text in str(client.document_json):
            return
        await client.close()
    raise AssertionError(str(client.document_json))


async def test_further_files_are_watched(tmp_path: Path, replica: Start) -> None:
    data = tmp_path / "data.txt"
    write(data, "first")
    write(
        tmp_path / "app.py",
        "from bokeh.io import curdoc\nfrom bokeh.models import Div\n"
        f"curdoc().add_root(Div(name='shown', text=open({str(data)!r}).read()))\n",
    )
    server = replica([tmp_path / "app.py"], args=["--dev", str(data)])
    client = await Client.open(server.app_url())

    write(data, "and second")
    assert await client.wait_closed(20) == 1012
    await client.reconnect()

    assert client.value("shown", "text") == "and second"
    await client.close()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    write(tmp_path / "app.py", "")
    code = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"
    argv: list[Any] = ["serve", tmp_path / "app.py", "--port", "0", "--dev", tmp_path / "nothing"]

    done = subprocess.run(
        [sys.executable, "-c", code, *map(os.fspath, argv)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "--dev" in done.stderr
