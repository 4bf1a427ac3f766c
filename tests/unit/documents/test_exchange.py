"""Changes are encoded and applied as by Bokeh, on random Documents and random changes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, Div, Line, Plot, Slider
from harness.comparing import both, comparable, outcome, state
from hypothesis import given, settings
from hypothesis import strategies as st

from service.documents.encoding import apply_patch, encode_document, encode_patch, to_json

Step = Callable[["Scene"], Any]


class Scene:
    """A Document somebody changes, and what its clients would be sent."""

    def __init__(self) -> None:
        self.source = ColumnDataSource(data={"x": np.arange(3.0), "y": [1, 2, 3]}, name="source")
        self.plot = Plot(name="plot", title="a plot")
        self.plot.add_glyph(self.source, Line(x="x", y="y"))
        self.slider = Slider(start=0, end=10, value=1, name="slider")
        self.box = column(self.slider, self.plot, name="box")
        self.document = Document()
        self.document.add_root(self.box)
        self.sent: list[Any] = []
        self.heard: list[Any] = []
        self.slider.on_change("value", lambda attr, old, new: self.heard.append((attr, old, new)))
        self.document.on_change_dispatch_to(self)
        self.first = _sent(*encode_document(self.document, inline=False))

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        self.sent.append(_sent(*encode_patch(event)))

    def result(self) -> Any:
        models = self.document.models
        return {
            "first": self.first,
            "sent": self.sent,
            "heard": self.heard,
            "models": {model.id: state(model) for model in sorted(models, key=lambda each: each.id)},
            "new": sorted(model.id for model in models._new_models),
            "names": {name: comparable(models.get_one_by_name(name)) for name in ("slider", "plot", "box")},
            "last": _sent(*encode_document(self.document, inline=False)),
            "inline": outcome(lambda: encode_document(self.document, inline=True)),
        }


def _sent(content: str, buffers: Any) -> Any:
    for number, (ident, _) in enumerate(buffers):
        content = content.replace(f'"{ident}"', f'"buffer {number}"')
    return content, [payload for _, payload in buffers]


def _apply(scene: Scene, *events: dict[str, Any]) -> None:
    apply_patch(scene.document, json.loads(json.dumps({"events": events})), (), scene)


def _changed(model: str, attr: str, new: Any) -> dict[str, Any]:
    return {"kind": "ModelChanged", "model": {"id": model}, "attr": attr, "new": new}


def _new_div(ident: str, text: str) -> dict[str, Any]:
    return {"type": "object", "name": "Div", "id": ident, "attributes": {"text": text}}


def _child(scene: Scene, text: str) -> None:
    scene.box.children = [*scene.box.children, Div(text=text)]


def _drop_child(scene: Scene) -> None:
    scene.box.children = list(scene.box.children)[:-1]


def _div_from_client(scene: Scene, ident: str, text: str) -> None:
    children = [{"id": child.id} for child in scene.box.children]
    _apply(scene, _changed(scene.box.id, "children", [*children, _new_div(ident, text)]))


short = st.text(max_size=3)
numbers = st.floats(0, 10, allow_nan=False)
steps: st.SearchStrategy[Step] = st.one_of(
    numbers.map(lambda v: lambda scene: setattr(scene.slider, "value", v)),
    numbers.map(lambda v: lambda scene: _apply(scene, _changed(scene.slider.id, "value", v))),
    short.map(lambda v: lambda scene: _apply(scene, _changed(scene.slider.id, "value", v))),
    short.map(lambda v: lambda scene: setattr(scene.plot.title, "text", v)),
    short.map(lambda v: lambda scene: setattr(scene.document, "title", v)),
    short.map(lambda v: lambda scene: _apply(scene, _changed("nobody", "value", v))),
    short.map(lambda v: lambda scene: _child(scene, v)),
    st.just(_drop_child),
    st.tuples(st.sampled_from(["d1", "d2"]), short).map(
        lambda each: lambda scene: _div_from_client(scene, *each)
    ),
    st.sampled_from(["d1", "d2"]).map(lambda v: lambda scene: _apply(scene, _changed(v, "text", "again"))),
    st.lists(st.floats(allow_nan=True), max_size=3).map(
        lambda v: lambda scene: scene.source.stream({"x": np.array(v), "y": list(v)}, rollover=5)
    ),
    st.tuples(st.integers(0, 4), numbers).map(lambda v: lambda scene: scene.source.patch({"y": [v]})),
    st.lists(numbers, max_size=3).map(
        lambda v: lambda scene: setattr(scene.source, "data", {"x": np.array(v), "y": list(v)})
    ),
    short.map(lambda v: lambda scene: scene.document.add_root(Div(text=v))),
    st.lists(
        st.tuples(st.sampled_from(["slider", "plot", "nobody"]), st.deferred(lambda: odd)), max_size=3
    ).map(lambda each: lambda scene: _apply(scene, *(_odd_change(scene, *one) for one in each))),
)
odd = st.tuples(
    st.sampled_from(["value", "title", "name", "tags", "nonsense"]),
    st.none()
    | st.booleans()
    | st.integers(-1, 5)
    | numbers
    | short
    | st.just({"type": "number", "value": "nan"}),
    st.sampled_from(
        [{}, {"more": 1}, {"kind": "Nonsense"}, {"model": {"id": []}}, {"model": {"type": "ref", "id": "d1"}}]
    ),
)


def _odd_change(scene: Scene, name: str, change: tuple[str, Any, dict[str, Any]]) -> dict[str, Any]:
    attr, new, other = change
    found = scene.document.get_model_by_name(name)
    return {**_changed("nobody" if found is None else found.id, attr, new), **other}


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=8))
def test_random_changes_are_exchanged_alike(changes: list[Step]) -> None:
    def carry_out() -> Any:
        scene = Scene()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Bokeh's, about columns of different lengths
            outcomes = [outcome(lambda change=change: change(scene)) for change in changes]
            return outcomes, scene.result()

    theirs, ours = both(carry_out)
    assert repr(ours) == repr(theirs)  # repr, because no number equals NaN


def test_a_new_model_is_written_once() -> None:
    def carry_out() -> Any:
        scene = Scene()
        _child(scene, "new")
        _child(scene, "newer")
        return scene.sent

    theirs, ours = both(carry_out)
    assert ours == theirs
    assert '"text":"new"' in ours[0][0]
    assert '"text":"new"' not in ours[1][0]


def test_a_change_is_encoded_as_bokeh_s_own_message_is() -> None:
    from bokeh.protocol import Protocol

    messages: list[str] = []

    def carry_out() -> Any:
        scene = Scene()
        scene.document.on_change_dispatch_to(Other(messages))
        scene.slider.value = 5
        return scene.sent[0][0]

    class Other:
        def __init__(self, found: list[str]) -> None:
            self.found = found

        def _document_patched(self, event: DocumentPatchedEvent) -> None:
            self.found.append(Protocol().create("PATCH-DOC", [event]).content_json)

    theirs, ours = both(carry_out)
    assert [theirs, ours] == messages


def test_the_json_encoder_writes_what_bokeh_s_does() -> None:
    serializer = Serializer()
    content = serializer.encode({"ä": [1.5, 1e300, -0.0, True, None, "\u2028", np.arange(3)]})
    assert to_json(content) == serialize_json(content)


def test_what_a_page_describes_though_it_is_known_is_no_news() -> None:
    """BokehJS does so once with each model that it got with the Document. Warnings are errors here."""
    document = Document()
    slider, button = Slider(start=0, end=10, value=1), Button(name="button")
    box = column(slider)
    heard: list[Any] = []
    button.on_click(lambda event: heard.append(event.model))  # type: ignore[arg-type]
    document.add_root(box)
    document.add_root(button)
    new, known = ({"type": "object", "name": "Button", "id": each.id} for each in (Button(), button))
    click = {
        "type": "event",
        "name": "button_click",
        "values": {"type": "map", "entries": [["model", known]]},
    }
    events = [
        {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": click},
        {"kind": "ModelChanged", "model": known, "attr": "label", "new": "again"},
        {"kind": "ModelChanged", "model": {"id": box.id}, "attr": "children", "new": [known, new]},
    ]

    apply_patch(document, {"events": events}, (), None)

    assert heard == [button]
    assert button.label == "again"
    assert box.children[0] is button
    assert [each.id for each in box.children] == [button.id, new["id"]]
