"""Fixtures of the tests on one replica: one server for a module, with its embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.replica import Replica


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[Replica]:
    """Serves the sliders and the streaming example."""
    with Replica([examples / "sliders.py", examples / "streaming.py"], name="server") as running:
        yield running
