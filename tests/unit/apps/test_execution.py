"""The one seam app code runs through: what is in place inside it is gone outside, also while it awaits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.io import curdoc
from bokeh.models import Slider

from service.apps.app_directories import running_app
from service.apps.execution import Execution
from service.apps.imports import ImportSpace
from service.documents import curdoc as curdocs
from service.documents import ids
from service.documents.ids import IdSpace, new_document


@pytest.fixture(autouse=True)
def _installed() -> None:
    ids.install()
    curdocs.install()


def execution(session: str, directory: Path | None = None) -> Execution:
    space = IdSpace(session)
    return Execution(ImportSpace(directory), space, new_document(space))


def test_code_sees_its_document_and_makes_its_ids() -> None:
    one = execution("one")

    document, slider = one.call(lambda: (curdoc(), Slider(start=0, end=1, value=0)))

    assert document is one.document
    assert slider.id.startswith(IdSpace("one").prefix)


def test_nothing_is_left_when_code_fails() -> None:
    one = execution("one")

    with pytest.raises(ZeroDivisionError):
        one.call(lambda: 1 / 0)

    assert curdoc() is not one.document
    assert ids.current_ids.get() is None


async def test_sessions_that_await_in_turns_keep_apart(tmp_path: Path) -> None:
    (tmp_path / "helpers_of_one_app.py").write_text("")
    turn = asyncio.Barrier(2)

    async def callback() -> list[Any]:
        seen = []
        for _ in range(3):
            seen += [curdoc(), Slider(start=0, end=1, value=0).id.split("-")[0]]
            await turn.wait()
        return seen

    one, other = execution("one", tmp_path), execution("other")
    found = await asyncio.gather(one.run(callback), other.run(callback))

    assert found[0] == [one.document, IdSpace("one").prefix[:-1]] * 3
    assert found[1] == [other.document, IdSpace("other").prefix[:-1]] * 3


async def test_apps_that_await_in_turns_import_their_own(tmp_path: Path) -> None:
    """By name, from a package that is nobody's: only what is in place while the code runs tells whose."""
    turn = asyncio.Barrier(2)

    async def callback() -> list[str]:
        seen = []
        for _ in range(3):
            exec("import helpers_of_both", found := {})
            seen.append(found["helpers_of_both"].NAME)
            await turn.wait()
        return seen

    def app(name: str) -> Execution:
        (tmp_path / name).mkdir()
        (tmp_path / name / "helpers_of_both.py").write_text(f"NAME = {name!r}\n")
        return execution(name, tmp_path / name)

    one, other = app("one"), app("other")
    found = await asyncio.gather(one.run(callback), other.run(callback))

    assert found == [["one"] * 3, ["other"] * 3]
    assert running_app.get() is None


async def test_an_awaiting_callback_hears_of_its_cancellation() -> None:
    heard, waiting = asyncio.Event(), asyncio.Event()

    async def callback() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.set()
            raise

    task = asyncio.create_task(execution("one").run(callback))
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.is_set()


async def test_without_the_lock_the_document_refuses_changes() -> None:
    one = execution("one")

    with pytest.raises(AttributeError, match="next_tick"):
        await one.run(lambda: curdoc().add_root(Slider(start=0, end=1, value=0)), locked=False)


async def test_hooks_run_without_a_document() -> None:
    shown = await Execution(ImportSpace(None)).run(curdoc)

    assert isinstance(shown, Document)
    assert ids.current_ids.get() is None
