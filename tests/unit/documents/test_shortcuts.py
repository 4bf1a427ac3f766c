"""Shortcuts give what Bokeh gives: on every model class, on the examples, on random changes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bokeh.model.util as bokeh_util
import numpy as np
import pytest
from bokeh.core.json_encoder import serialize_json
from bokeh.core.property.bases import Property
from bokeh.core.property.singletons import Undefined
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.document import events as bokeh_events
from bokeh.events import ButtonClick
from bokeh.io import curdoc
from bokeh.model import Model
from bokeh.models import Column, ColumnDataSource, CustomJS, Label, Legend, Plot, Range1d, Slider
from bokeh.plotting import figure
from bokeh.themes import built_in_themes
from harness.comparing import both, comparable, json_of, numbered, outcome, state
from hypothesis import given, settings
from hypothesis import strategies as st

from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.loading import load_apps
from service.documents import released, shortcuts
from service.documents.ids import IdSpace, new_document
from service.documents.shortcuts import table
from service.documents.shortcuts.dispatch import on_change_dispatch_to
from service.sessions.session import Session
from store.contract import PageRequest

EXAMPLES = ("sliders.py", "weather", "streaming.py", "explorer.py")


@pytest.fixture(autouse=True)
def _bokeh_as_it_was() -> Iterator[None]:
    yield
    shortcuts.remove()


def model_classes() -> list[type[Model]]:
    """All that can be made: not the empty mixins."""
    classes = [cls for cls in Model.model_class_reverse_map.values() if cls.properties()]
    own = [cls for cls in classes if cls.__module__.startswith("bokeh.")]
    return sorted(own, key=lambda cls: cls.__qualified_model__)


CLASSES = model_classes()


def test_bokeh_is_one_the_shortcuts_were_written_for() -> None:
    assert {group.name: list(map(str, group.outdated)) for group in shortcuts.GROUPS if group.outdated} == {}


@pytest.mark.parametrize("group", shortcuts.GROUPS, ids=lambda group: group.name)
def test_a_changed_function_switches_off_its_groups_only(
    group: shortcuts.Group, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changed = group.functions[0]
    shortcuts.remove()
    digest_of = table.digest_of
    monkeypatch.setattr(table, "is_released", lambda function, name: False)
    monkeypatch.setattr(
        table, "digest_of", lambda function: "" if function is changed.original else digest_of(function)
    )

    assert not shortcuts.install()

    off = {name for name, on in shortcuts.installed() if not on}
    assert off == {each.name for each in shortcuts.GROUPS if changed.original in _originals(each)}
    assert changed.owner.__dict__[changed.name] is changed.original
    assert f"for {group.name}" in caplog.text
    assert str(changed) in caplog.text


def _originals(group: shortcuts.Group) -> list[Any]:
    return [each.original for each in group.functions]


FUNCTIONS = [each for group in shortcuts.GROUPS for each in group.functions]


@pytest.mark.parametrize("known", FUNCTIONS, ids=str)
def test_a_released_file_says_what_reading_its_functions_says(known: shortcuts.Known) -> None:
    assert released.is_released(known.original, known.name)
    assert table.digest_of(known.original) in known.digests


def test_a_file_that_was_changed_is_not_released(tmp_path: Path) -> None:
    original = Path(bokeh_util.__file__)
    path = tmp_path / "bokeh" / "model" / "util.py"
    path.parent.mkdir(parents=True)

    def is_released(source: str) -> bool:
        path.write_text(source)
        released._is_released_file.cache_clear()
        names: dict[str, Any] = {"__name__": "bokeh.model.util", "__package__": "bokeh.model"}
        exec(compile(source, path, "exec"), names)
        return released.is_released(names["collect_models"], "collect_models")

    assert is_released(original.read_text())
    assert not is_released(original.read_text() + "\n")
    path.unlink()
    released._is_released_file.cache_clear()
    assert not released.is_released(len, "len")
    assert not released._is_released_file(str(path))


def test_another_function_of_a_released_file_is_not_taken_for_the_one_that_it_replaces() -> None:
    assert released.is_released(bokeh_util.collect_models, "collect_models")
    assert not released.is_released(bokeh_util.collect_models, "collect_filtered_models")


def test_documentation_and_annotations_are_no_change() -> None:
    class One:
        def double(self, value: int) -> int:
            """Twice."""
            doubled: int = value * 2
            return doubled

    class Same:
        def double(self, value: Any) -> Any:
            doubled: object = value * 2
            return doubled

    class Another:
        def double(self, value: int) -> int:
            doubled: int = value * 3
            return doubled

    one, same, another = (table.digest_of(cls.double) for cls in (One, Same, Another))
    assert one == same != another


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_class_begins_reads_and_is_encoded_the_same(cls: type[Model]) -> None:
    def make() -> Any:
        model = cls()
        encoded = outcome(lambda: json_of(model))
        names = sorted(model.properties())
        values = [outcome(lambda name=name: comparable(getattr(model, name))) for name in names]
        return encoded, values, state(model)

    theirs, ours = both(lambda: outcome(make))
    assert ours == theirs


@pytest.mark.parametrize("theme", sorted(built_in_themes))
def test_themes_show_in_the_same_places(theme: str) -> None:
    def make() -> Any:
        plot = figure(title="themed")
        plot.line([1, 2, 3], [3, 2, 1], legend_label="a line")
        for model in sorted(plot.references(), key=lambda each: each.id):
            built_in_themes[theme].apply_to_model(model)
        return json_of(plot)

    theirs, ours = both(make)
    assert ours == theirs


@pytest.mark.parametrize("example", EXAMPLES)
async def test_examples_are_the_same_byte_for_byte(example: str, examples: Path) -> None:
    theirs = await _encoded_example(examples / example)
    shortcuts.install()
    assert await _encoded_example(examples / example) == theirs


@pytest.mark.parametrize("group", shortcuts.GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "missing"])
async def test_a_group_needs_no_other(group: shortcuts.Group, alone: bool, examples: Path) -> None:
    theirs = await _encoded_example(examples / "weather")
    shortcuts.install()
    shortcuts.remove(*(each.name for each in shortcuts.GROUPS if (each is group) is not alone))
    assert await _encoded_example(examples / "weather") == theirs


async def _encoded_example(path: Path) -> Any:
    random.seed(1)
    np.random.seed(1)
    (app,) = load_apps([str(path)]).values()
    space = IdSpace("the same")
    document = new_document(space)
    context = AppSessionContext("the same", app.server_context, document, PageRequest())
    await app.build(context, Execution(app.imports, space, document))
    serialized = document.to_json()
    return numbered(serialize_json(serialized.content), serialized.buffers)


# -- random values and changes -----------------------------------------------------------------

values = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=True), st.text(max_size=3),
    st.sampled_from(["red", "#aabbcc", "left", "value", "auto", "max", "solid", "x", "10px", Undefined]),
    st.lists(st.integers(0, 3), max_size=2), st.tuples(st.integers(0, 3), st.floats(0, 1)),
    st.dictionaries(st.sampled_from(["x", "y", "field", "value"]), st.integers(0, 3), max_size=2),
    st.builds(np.array, st.lists(st.floats(-1, 1), max_size=3)),
)  # fmt: skip

HANDLED = (Slider, Plot, Label, Legend, ColumnDataSource, Range1d, CustomJS)


@st.composite
def changes(draw: st.DrawFn) -> tuple[type[Model], list[tuple[str, Any]]]:
    cls = draw(st.sampled_from(HANDLED) | st.sampled_from(CLASSES))
    names = st.sampled_from(sorted(cls.properties()))
    return cls, draw(st.lists(st.tuples(names, values), min_size=1, max_size=6))


@settings(deadline=None, max_examples=100)
@given(changes())
def test_random_changes_are_taken_or_refused_alike(change: tuple[type[Model], list[tuple[str, Any]]]) -> None:
    cls, steps = change

    def carry_out() -> Any:
        model, seen = cls(), []
        for name, value in steps:
            model.on_change(name, lambda attr, old, new: seen.append((attr, repr(old), repr(new))))
            seen.append(outcome(lambda name=name, value=value: setattr(model, name, value)))
            seen.append(outcome(lambda name=name: comparable(getattr(model, name))))
        return seen, state(model), outcome(lambda: json_of(model))

    theirs, ours = both(lambda: outcome(carry_out))
    assert repr(ours) == repr(theirs)  # repr, because no number equals NaN


def test_a_deleted_property_has_its_default_again() -> None:
    def make() -> Any:
        plot = figure()
        plot.title.text = "one"
        del plot.title.text
        plot.tags = [1]
        del plot.tags
        return state(plot), json_of(plot), state(plot), json_of(plot)

    theirs, ours = both(make)
    assert ours == theirs


class Doubling(Serializer):
    """One of a program that writes texts its own way, as each class derived from Bokeh's may."""

    def _encode(self, obj: Any) -> Any:
        return super()._encode(obj + obj if isinstance(obj, str) else obj)


class Unlike(Slider):
    def properties_with_values(self, **options: Any) -> dict[str, Any]:
        return {**super().properties_with_values(**options), "title": "another"}


@pytest.mark.parametrize("kind", [Serializer, Doubling])
@pytest.mark.parametrize(
    "value",
    [
        float("nan"), -float("inf"), 0.1, 2**53 - 2, True, None, "text", (1, [2.0, None]), {"a": [1], 2: {}},
        {}, [], {1, 2}, b"bytes", [Range1d(start=1, end=2)], np.arange(3.0), np.float64(1.5), np.int8(1),
        [{"deep": [float("nan"), {"er": Range1d(start=0, end=1)}]}], datetime(2026, 1, 2), slice(1, None),
    ],
    ids=repr,
)  # fmt: skip
def test_values_are_encoded_the_same(kind: type[Serializer], value: Any) -> None:
    source = ColumnDataSource({"x": [1.5, float("nan"), 2]}, tags=[value, value], name="a name")
    unlike = Unlike(start=0, end=1, value=0)

    def encoded() -> Any:
        serializer = kind(deferred=False)
        return repr(re.sub("'id': '[^']*'", "", repr([serializer.encode(each) for each in (source, unlike)])))

    theirs, ours = both(encoded)
    assert ours == theirs


def test_a_registered_encoder_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Serializer._encoders, str, lambda value, serializer: value.upper())
    theirs, ours = both(lambda: json_of(Slider(start=0, end=1, value=0, title="text")))
    assert ours == theirs
    assert "TEXT" in ours[0]


def test_secrets_are_not_remembered() -> None:
    shortcuts.install()
    slider = Slider(start=0, end=1, value=0)
    slider.title = "a title that is long enough to be something that a user typed in"
    prop: Property[Any] = Slider.lookup("title").property
    remembered = vars(prop).get("_svc_valid") or set()
    assert not any(isinstance(value, str) and "user typed" in value for _, value in remembered)


NAMES = ["title", "value", "tags", "js_property_callbacks", "name"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(NAMES), values)))
def test_changes_in_a_document_reach_the_same_callbacks_with_the_same_document(
    changes: list[tuple[str, Any]],
) -> None:
    def carry_out() -> Any:
        document, seen = Document(), []
        slider = Slider(start=-5, end=5, value=0, tags=[Range1d()])
        document.add_root(slider)

        def note(event: Any) -> None:
            seen.append((type(event), event.attr, curdoc() is document, len(document.models)))

        document.on_change(note)

        def changed(attr: str, old: Any, new: Any) -> None:
            seen.append((attr, repr(old), repr(new), curdoc() is document))

        for name, _ in changes:
            slider.on_change(name, changed)
        for name, value in changes:
            seen.append(outcome(lambda name=name, value=value: setattr(slider, name, value)))
        return seen, state(slider), sorted(model.id for model in document.models)

    theirs, ours = both(carry_out)
    assert repr(ours) == repr(theirs)


def test_a_callback_sees_its_own_document_inside_that_of_another() -> None:
    def carry_out() -> Any:
        inner, outer, seen = Document(), Document(), []
        for document in (inner, outer):
            document.add_root(Slider(start=0, end=9, value=1))
        (one,), (other,) = inner.roots, outer.roots

        def changed_outside(attr: str, old: Any, new: Any) -> None:
            seen.append(curdoc() is outer)
            one.value = 5
            seen.append(curdoc() is outer)

        one.on_change("value", lambda attr, old, new: seen.append(curdoc() is inner))
        other.on_change("value", changed_outside)
        other.value = 3
        return seen

    theirs, ours = both(carry_out)
    assert ours == theirs == [True, True, True]


RECEIVING = [
    name
    for kind, mixin in vars(bokeh_events).items()
    if kind.endswith("Mixin")
    for name in vars(mixin)
    if re.fullmatch("_(document|column|session)[a-z_]+", name)
]
"""What receivers of a Document's events may have: protocols in bokeh 3.10, plain classes in 3.9."""


OF_SESSIONS = [name for name in RECEIVING if hasattr(Session, name)]


def test_sessions_get_their_events_the_short_way() -> None:
    assert len(OF_SESSIONS) > 1
    manager = Document().callbacks
    receiver = type("Receiver", (), dict.fromkeys(OF_SESSIONS, staticmethod(lambda event: None)))()
    on_change_dispatch_to(manager, receiver)
    (receive,) = manager._change_callbacks.values()
    assert receive.__module__ == on_change_dispatch_to.__module__


@pytest.mark.parametrize("methods", [RECEIVING[1:2], RECEIVING[:2], OF_SESSIONS, RECEIVING], ids=len)
def test_receivers_are_told_of_the_same_events(methods: list[str]) -> None:
    def carry_out() -> Any:
        document, source, slider, told = Document(), ColumnDataSource({"x": [1]}), Slider(start=0, end=9), []

        def noting(name: str) -> Any:
            return staticmethod(lambda event: told.append((name, type(event).__name__)))

        receiver = type("Receiver", (), {name: noting(name) for name in methods})()
        for _ in range(2):  # the second time changes nothing
            document.callbacks.on_change_dispatch_to(receiver)
        document.add_root(source)
        document.add_root(slider)
        slider.value = 3
        source.stream({"x": [2]})
        source.patch({"x": [(0, 5)]})
        source.data = {"x": [7]}
        document.title = "title"
        document.remove_next_tick_callback(document.add_next_tick_callback(lambda: None))
        document.callbacks.send_event(ButtonClick(None))
        document.remove_on_change(receiver)
        slider.value = 4
        return told

    theirs, ours = both(carry_out)
    assert ours == theirs
    assert {name for name, _ in ours} == set(methods)


@st.composite
def long_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    kind = draw(st.sampled_from(["f8", "i4", "?", "U3", "M8[s]", "O"]))
    array = np.resize(np.array(draw(st.lists(st.integers(0, 1), min_size=1, max_size=2))), 1500).astype(kind)
    if draw(st.booleans()):
        array[draw(st.sampled_from([0, 1023, 1024, 1499]))] = array[1]
    if kind == "f8" and draw(st.booleans()):
        array[draw(st.sampled_from([0, 1499]))] = np.nan
    return array.reshape(draw(st.sampled_from([(1500,), (3, 500)])))


@settings(deadline=None)
@given(long_arrays(), long_arrays())
def test_long_columns_match_as_bokeh_says(new: np.ndarray[Any, Any], old: np.ndarray[Any, Any]) -> None:
    prop: Property[Any] = ColumnDataSource.lookup("data").property
    theirs, ours = both(lambda: [prop.matches({"x": one}, {"x": old}) for one in (new, old, old.copy())])
    assert ours == theirs


STEPS = ("add", "remove", "children", "name", "another", "flush", "frozen", "clear", "foreign")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_roots_that_come_and_go_leave_the_same_models(steps: list[tuple[str, int, int]]) -> None:
    def carry_out() -> Any:
        document, other = Document(), Document()
        columns = [Column(name=f"c{n % 3}", children=[Slider(start=0, end=9)]) for n in range(5)]
        columns.append(Column(children=[columns[0]]))  # a part that another root has too
        other.add_root(foreign := Slider(start=0, end=9))
        seen, told = [], []
        document.on_change(lambda event: told.append(type(event).__name__))

        def step(kind: str, one: int, two: int) -> None:
            match kind:
                case "add":
                    document.add_root(columns[one])
                case "remove":
                    document.remove_root(columns[one])
                case "children":
                    columns[one].children = [Slider(start=0, end=9), *columns[two].children]
                case "name":
                    columns[one].name = f"c{two}"
                case "another":
                    columns[one].children = [*columns[one].children, Slider(start=0, end=9, name=f"c{two}")]
                case "flush":
                    document.models.flush_synced()
                case "frozen":
                    with document.models.freeze():
                        document.add_root(columns[one])
                        document.add_root(columns[two])
                case "clear":
                    document.clear()
                case "foreign":
                    document.add_root(foreign)

        for each in steps:
            seen.append(outcome(lambda each=each: step(*each)))
            if each[0] == "foreign":  # which of the others joined before it was refused is chance
                return seen
            models = document.models
            known = {model.id: model.document is document for model in models}
            new = {model.id for model in models._new_models}
            names = {name: {m.id for m in models.get_all_by_name(name)} for name in ("c0", "c1", "c2", "c5")}
            seen.append((known, new, names, [root.id for root in document.roots], list(told)))
        return seen

    theirs, ours = both(carry_out)
    assert ours == theirs
