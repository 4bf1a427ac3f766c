"""Whether a model has a property is asked of its class; what it has is what getattr says."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from bokeh.core.properties import Int
from bokeh.models import Column, ColumnDataSource, Div, Slider, TextInput
from bokeh.models.plots import Plot

from service.documents.attributes import property_of

MODELS = [
    Slider(start=0, end=1, value=0, title="a"),
    Div(text="b", name="c"),
    Column(children=[Div()]),
    Plot(),
    TextInput(),
    ColumnDataSource({"x": [1]}),
]


class Own(Div):
    data = Int(7)


@pytest.mark.parametrize("name", ["title", "label", "name", "data", "children", "value"])
@pytest.mark.parametrize("model", [*MODELS, Own()], ids=lambda model: type(model).__name__)
def test_it_is_what_getattr_says(model: Any, name: str) -> None:
    assert property_of(model, name) is getattr(model, name, None)


def test_nothing_is_compared_for_an_error_message(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda word, *_: compared.append(word) or [])

    assert property_of(MODELS[0], "data") is None
    assert compared == []
    assert getattr(MODELS[0], "data", None) is None
    assert compared == ["data"]
