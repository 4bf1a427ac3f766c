"""Fixtures for all tests; what they give lives in `tests/harness` and `tools/devfleet`."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from devfleet import processes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def examples() -> Path:
    """The directory of the example apps."""
    return ROOT / "examples"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the last words of every process that was running."""
    report = yield
    if report.failed:
        for each in processes.running():
            report.sections.append((f"log of {each!r}", each.tail()))
    return report
