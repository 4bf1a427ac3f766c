"""A server does not wait for modules that others need."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from service.cli.main import main
try:
    main(["serve", "--help"])
except SystemExit:
    pass
from service.cli.serve import import_server
import_server()
from store.connect import open_store
open_store("redis://127.0.0.1:1")
print("imported:", *sys.modules)
"""


def test_a_server_of_a_fleet_imports_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)

    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert {"bokeh", "redis", "service.server"} <= imported
    assert not imported & {
        "fakeredis", "panel", "param", "pandas", "bokeh.server.server", "bokeh.plotting",
        "opentelemetry.sdk.metrics",
        "service.cli.doctor", "service.cli.sessions", "service.admin.page",
    }  # fmt: skip
