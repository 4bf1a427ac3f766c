"""A session that ended leaves no memory behind for the garbage collector to find."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.runs import built, say_nothing

from service.apps.loading import load_apps
from service.documents import curdoc, ids
from service.metrics import Metrics
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.life import Reason
from service.sessions.registry import Registry
from store.contract import PageRequest, SessionKey


@pytest.fixture
def collector_off() -> Iterator[None]:
    """What is freed then is freed by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def others_ended() -> None:
    """Lets the tasks of the session's callbacks notice that they were cancelled, and the loop forget them."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await asyncio.sleep(0)


@pytest.fixture(scope="module")
def outcomes() -> str | None:
    """What pytest says of each test of this file in a process of its own, where this one has Panel in it.

    Once imported, that has a hand in all sessions of its process.
    """
    if "panel" not in sys.modules:
        return None
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", __file__]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100).stdout


@pytest.mark.parametrize("example", ["sliders.py", "weather", "streaming.py", "explorer.py"])
@pytest.mark.usefixtures("collector_off")
async def test_all_models_of_an_ended_session_are_freed_at_once(
    examples: Path, example: str, outcomes: str | None, request: pytest.FixtureRequest
) -> None:
    if outcomes is not None:
        assert f"{request.node.name} PASSED" in outcomes, outcomes
        return
    ids.install()
    curdoc.install()
    apps = load_apps((str(examples / example),), ())
    registry = Registry(apps, Builder(durable=True, replay_inputs=True, metrics=Metrics()))
    key = SessionKey(next(iter(apps)), "session")

    session = await built(registry, OwnershipGrant(key, 1, PageRequest()))
    seen = [(type(each).__name__, weakref.ref(each)) for each in [session.document, *session.document.models]]
    session.slot.life.leave(Reason.ENDED)
    await session.destroy(say_nothing)
    registry.forget(session.slot)
    del session
    await others_ended()

    assert [name for name, reference in seen if reference() is not None] == []
