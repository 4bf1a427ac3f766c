"""Fixtures of the tests on one replica: one server for a module, with its embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.asgi import AsgiReplica, HypercornReplica
from devfleet.replica import Replica

FRONTS = {"tornado": Replica, "uvicorn": AsgiReplica, "hypercorn": HypercornReplica}


@pytest.fixture(scope="module")
def server(examples: Path, request: pytest.FixtureRequest) -> Iterator[Replica]:
    """Serves the sliders and the streaming example; over each of the module's FRONTS, if it names some."""
    apps = [examples / "sliders.py", examples / "streaming.py"]
    front = getattr(request, "param", "tornado")
    with FRONTS[front](apps, name=front) as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fronts = getattr(metafunc.module, "FRONTS", None)
    if fronts and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", fronts, indirect=True, scope="module")
