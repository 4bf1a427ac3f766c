"""Whether a client's patch runs code of the app, whatever it sends."""

from __future__ import annotations

import random
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.events import ButtonClick
from bokeh.models import Button, Slider

from loadtests.fuzz.mutations import NASTY_VALUES, altered
from service.documents.listening import runs_app_code


def own(event: Any) -> None:
    """The service's own receiver of events."""


@pytest.fixture
def document() -> Document:
    made, heard, button = Document(), Slider(name="heard"), Button(name="button")
    heard.on_change("value", lambda attr, old, new: None)
    button.on_click(lambda: None)
    for root in (heard, Slider(name="not heard"), button):
        made.add_root(root)
    return made


def changed(document: Document, name: str, attr: str = "value") -> dict[str, Any]:
    model = {"id": document.get_model_by_name(name).id}
    return {"kind": "ModelChanged", "model": model, "attr": attr, "new": 1}


def sent(name: str) -> dict[str, Any]:
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {"type": "event", "name": name}}


def test_what_somebody_listens_to_runs_code(document: Document) -> None:
    def runs(*events: Any) -> bool:
        return runs_app_code(document, {"events": list(events)}, own)

    assert runs(changed(document, "heard"))
    assert runs(changed(document, "not heard"), changed(document, "heard"))
    assert runs(sent(ButtonClick.event_name))
    assert not runs(changed(document, "heard", "title"))
    assert not runs(changed(document, "not heard"))
    assert not runs(sent("tap"))
    assert not runs({"kind": "TitleChanged", "title": "new"})


def test_what_is_malformed_is_no_error_here(document: Document) -> None:
    """It is one where it is applied, which tells the client."""
    rng = random.Random(1)
    good = {"events": [changed(document, "heard"), sent("tap"), {"kind": "TitleChanged", "title": "new"}]}
    for _ in range(2000):
        content = altered(good, rng)
        if isinstance(content, dict):
            runs_app_code(document, content, own)
    for value in (*NASTY_VALUES, {}, [], [[]], {"id": []}, {"id": {}}):
        for event in (*good["events"], {"kind": "MessageSent", "msg_type": "x"}):
            for name in event:
                runs_app_code(document, {"events": [{**event, name: value}]}, own)
