"""Taking Documents apart. Fails when Bokeh's Document holds on to something that we do not let go."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Slider
from bokeh.plotting import figure

from service.documents.disposal import dispose


class Receiver:
    """Hears of changes, as a session does."""

    def _document_changed(self, event: Any) -> None:
        """Nothing to do."""


@pytest.fixture
def collector_off() -> Iterator[None]:
    """What is freed then is freed by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def made(receiver: Receiver) -> Document:
    """A Document with the usual cycles: models, callbacks that close over them, and its receiver."""
    document = Document()
    source = ColumnDataSource({"x": [1, 2], "y": [3, 4]})
    plot = figure()
    plot.line("x", "y", source=source)
    slider = Slider(start=0, end=1, value=0)
    slider.on_change("value", lambda attr, old, new: plot.update(title=str(source)))
    document.add_root(plot)
    document.add_root(slider)
    document.add_periodic_callback(lambda: plot.update(title="later"), 1000)
    document.callbacks.on_change_dispatch_to(receiver)
    return document


@pytest.mark.usefixtures("collector_off")
def test_document_and_models_are_freed_without_the_collector() -> None:
    receiver = Receiver()
    document = made(receiver)
    seen = {type(each).__name__: weakref.ref(each) for each in [document, *document.models]}

    dispose(document, receiver)
    del document

    assert [name for name, reference in seen.items() if reference() is not None] == []


def test_no_collection_is_run() -> None:
    receiver = Receiver()
    document = made(receiver)
    before = [stage["collections"] for stage in gc.get_stats()][-1]

    dispose(document, receiver)

    assert [stage["collections"] for stage in gc.get_stats()][-1] == before


def test_the_modules_of_the_app_are_forgotten() -> None:
    receiver = Receiver()
    document = made(receiver)
    name = "bokeh_app_of_this_test"
    module = ModuleType(name)
    module.held = object()  # type: ignore[attr-defined]
    document.modules.add(module)
    assert name in sys.modules

    dispose(document, receiver)

    assert name not in sys.modules
    assert vars(module) == {}
