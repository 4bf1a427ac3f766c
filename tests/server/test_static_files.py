"""Static files: kept for good with a version in the URL, asked for again without."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica

FILE = "/static/js/bokeh.min.js"


@pytest.fixture
def server(replica: Callable[..., Replica], examples: Path) -> Replica:
    return replica([examples / "sliders.py"])


def cache_control(server: Replica, path: str) -> str:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as response:
        assert response.status == 200
        return response.headers.get("Cache-Control", "")


def test_with_a_version_a_browser_need_not_ask_again(server: Replica) -> None:
    assert "immutable" in cache_control(server, f"{FILE}?v=0123456789abcdef")


def test_without_one_it_must_ask_again(server: Replica) -> None:
    assert "immutable" not in cache_control(server, FILE)
    assert "max-age" not in cache_control(server, FILE)
