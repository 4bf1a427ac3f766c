"""Fixtures of the fleet tests: a fleet with one plain app, shared by a module's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from devfleet.fleet import Fleet
from harness.apps import CountedApp

from fleet.app_sources import PLAIN


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    return CountedApp(tmp_path_factory.mktemp("plain"), "plain", body=PLAIN)


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], plain: CountedApp) -> Fleet:
    return start_fleet([plain.path])
