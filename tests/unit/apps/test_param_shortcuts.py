"""Shortcuts for param give what param gives, and are for a param whose functions we have read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import panel as pn
import param
import pytest
from harness.comparing import outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from service.apps import param_shortcuts
from service.documents.shortcuts import Group

MODULE = sys.modules["param.parameterized"]
param_shortcuts.remove()  # another test of this process may have had a server
GROUPS = param_shortcuts.groups()


@pytest.fixture(autouse=True)
def _param_as_it_was() -> Iterator[None]:
    yield
    param_shortcuts.remove()


def both(make: Callable[[], Any]) -> tuple[Any, Any]:
    """What ``make`` gives with param's own functions and with ours."""
    param_shortcuts.remove()
    theirs = make()
    param_shortcuts.quicken()
    ours = make()
    param_shortcuts.remove()
    return theirs, ours


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_param_is_one_the_shortcuts_were_written_for(group: Group) -> None:
    assert list(map(str, group.outdated)) == []


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_changed_function_switches_off_its_group_only(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = group.functions[0]
    monkeypatch.setattr(type(first), "as_read", property(lambda each: each.original is not first.original))
    param_shortcuts.quicken()
    for other in GROUPS:
        is_off = any(each.original is first.original for each in other.functions)
        for each in (known for known in other.functions if known.replacement):
            assert vars(each.owner)[each.name] is (each.original if is_off else each.replacement)


def test_they_are_in_as_soon_as_an_app_has_imported_panel() -> None:
    code = """
import sys
from service.apps import panel_shortcuts, param_shortcuts
panel_shortcuts.install()
param_shortcuts.install()
assert "param" not in sys.modules
import panel
known = [each for group in param_shortcuts.groups() for each in group.functions if each.replacement]
assert all(vars(each.owner)[each.name] is each.replacement for each in known), known
config = vars(type(panel.config))["set"]
others = [panel.reactive.Syncable._init_params, panel.pane.base._descendents]
print(config.__module__, *(each.__module__ for each in others))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["service.apps.panel_shortcuts"] * 3, done.stderr


class Inner(param.Parameterized):
    count = param.Integer(default=1)


class Everything(param.Parameterized):
    number = param.Number(default=1.5, bounds=(-10, 10))
    made = param.Number(default=lambda: 7)
    whole = param.Integer(default=2, bounds=(0, 5))
    text = param.String(default="a")
    flag = param.Boolean(default=True)
    choice = param.Selector(default="x", objects=["x", "y"])
    many = param.ListSelector(default=["x"], objects={"x": 1, "y": 2}, check_on_set=False)
    items = param.List(default=[])
    filled = param.List(default=[[1], [2]])
    table = param.Dict(default={})
    fixed = param.Tuple(default=(1, 2), constant=True)
    inner = param.ClassSelector(class_=Inner, default=Inner(), instantiate=True)
    pressed = param.Event()
    seen = param.List(default=[])

    @param.depends("number", "whole", watch=True)
    def _note(self) -> None:
        self.seen = [*self.seen, (self.number, self.whole)]


NAMES = sorted(set(Everything.param) - {"name", "seen", "inner", "made"})

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-12, 12), st.floats(allow_nan=False),
    st.sampled_from(["x", "y", "z"]),
    st.lists(st.sampled_from(["x", "y"]), max_size=2), st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 3), max_size=2),
)  # fmt: skip

STEPS = st.one_of(
    st.tuples(st.just("update"), st.dictionaries(st.sampled_from([*NAMES, "no_such"]), VALUES, max_size=3)),
    st.tuples(st.just("for a while"), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=2)),
    st.tuples(st.just("trigger"), st.lists(st.sampled_from([*NAMES, "no_such"]), max_size=2)),
    st.tuples(st.just("set"), st.tuples(st.sampled_from(NAMES), VALUES)),
    st.tuples(st.just("of the class"), st.tuples(st.sampled_from(["number", "text"]), VALUES)),
)


def carry_out(owner: Any, step: str, what: Any) -> Any:
    if step == "update":
        return owner.param.update(what) and None
    if step == "for a while":
        with owner.param.update(**what):
            return values_of(owner)
    if step == "trigger":
        return owner.param.trigger(*what)
    name, value = what
    target = owner if step == "set" else type(owner).param[name]
    return setattr(target, name if step == "set" else "default", value)


def values_of(owner: Any) -> Any:
    values = owner.param.values()
    return {name: repr(value) for name, value in values.items() if name not in ("name", "inner", "made")}


@settings(deadline=None, max_examples=150)
@given(st.lists(STEPS, max_size=6), st.booleans())
def test_random_updates_have_the_same_effects(steps: list[tuple[str, Any]], batched: bool) -> None:
    def results() -> Any:
        class Own(Everything):
            number = param.Number(default=1.5, bounds=(-10, 10))
            text = param.String(default="a")

        owner, events = Own(), []
        owner.param.watch(
            lambda *each: events.extend((e.name, repr(e.old), repr(e.new), e.type) for e in each), NAMES
        )
        owner.param.watch(lambda event: events.append((event.name, event.what)), "number", onlychanged=False)

        def all_steps() -> Any:
            return [(outcome(lambda each=each: carry_out(owner, *each)), values_of(owner)) for each in steps]

        if batched:
            with param.parameterized.batch_call_watchers(owner):
                done = all_steps()
        else:
            done = all_steps()
        private = owner._param__private
        waiting = {
            name: len(of) if isinstance(of, list) else of for name, of in private.parameters_state.items()
        }
        return repr((done, events, values_of(owner), sorted(private.values), waiting))

    theirs, ours = both(results)
    assert ours == theirs


def slots_of(parameter: Any) -> dict[str, Any]:
    names = sorted(set(type(parameter)._all_slots_) - {"owner", "watchers"})
    return {name: (type(getattr(parameter, name)), repr(getattr(parameter, name))[:200]) for name in names}


def parameterized_classes() -> list[Any]:
    pn.extension("tabulator")
    found, todo = [], [pn.viewable.Viewable, Everything]
    while todo:
        cls = todo.pop()
        found.append(cls)
        todo.extend(cls.__subclasses__())
    return sorted(set(found), key=lambda cls: (cls.__module__, cls.__name__))


def test_copies_of_parameters_are_the_same_and_of_their_own() -> None:
    parameters = [parameter for cls in parameterized_classes() for parameter in cls.param.objects().values()]
    assert len(parameters) > 3000
    copies = both(lambda: [MODULE._instantiate_param_obj(parameter, None) for parameter in parameters])
    for parameter, theirs, ours in zip(parameters, *copies, strict=True):
        assert type(ours) is type(theirs)
        assert slots_of(ours) == slots_of(theirs)
        assert ours.owner is None
        assert ours.watchers == {}
        assert ours.watchers is not parameter.watchers
        for name in type(ours)._all_slots_:
            is_shared = [getattr(copied, name) is getattr(parameter, name) for copied in (theirs, ours)]
            assert is_shared[0] == is_shared[1], name


def test_an_own_parameter_is_changed_without_that_of_the_class() -> None:
    def change() -> Any:
        one, other = Everything(), Everything()
        one.param.choice.objects.append("z")
        one.param.number.bounds = (0, 1)
        one.choice = "z"
        return (
            outcome(lambda: setattr(other, "choice", "z")), outcome(lambda: setattr(one, "number", 5)),
            other.param.number.bounds, one.param.number.owner is one, Everything.param.choice.objects[:],
        )  # fmt: skip

    theirs, ours = both(change)
    assert ours == theirs
    assert ours[0][0] is ValueError


def test_each_object_has_defaults_of_its_own() -> None:
    def make() -> Any:
        one, other = Everything(inner=Inner(count=3)), Everything()
        one.items.append(1)
        one.filled[0].append(1)
        one.table["a"] = 1
        with param.shared_parameters():
            shared = [Everything().items is Everything().items, Everything().table is Everything().table]
        own = [other.inner is not Everything.inner, other.inner.name != Everything.inner.name]
        return values_of(one), values_of(other), shared, own, outcome(lambda: setattr(one, "fixed", (2, 3)))

    theirs, ours = both(make)
    assert ours == theirs
    assert ours[2:4] == ([True, True], [True, True])


def test_paths_are_found_in_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.txt").touch()

    class Places(param.Parameterized):
        anything = param.Path(default=None, allow_None=True)
        loose = param.Path(default=None, allow_None=True, check_exists=False)
        file = param.Filename(default=None, allow_None=True, search_paths=["folder", str(tmp_path)])
        folder = param.Foldername(default=None, allow_None=True)

    def find() -> Any:
        places = Places()

        def put(name: str, path: Any) -> Any:
            setattr(places, name, path)
            return getattr(places, name)

        pairs = [(name, path) for name in Places.param if name != "name" for path in paths]
        return [(*pair, outcome(lambda pair=pair: put(*pair))) for pair in pairs]

    paths = [
        "folder", "folder/file.txt", "file.txt", "./folder/../folder", "gone", "", None, 1, tmp_path,
        tmp_path / "folder" / "file.txt", str(tmp_path / "gone"), tmp_path / "gone",
    ]  # fmt: skip
    theirs, ours = both(find)
    assert ours == theirs
    assert len({type(found) for _, _, found in ours}) > 2


def test_a_file_that_is_gone_keeps_no_other_parameter_from_being_set(tmp_path: Path) -> None:
    class Report(param.Parameterized):
        file = param.Filename(default=None, allow_None=True)
        title = param.String(default="")

    (tmp_path / "here").touch()

    def update() -> Any:
        (tmp_path / "here").touch()
        report = Report(file=str(tmp_path / "here"))
        (tmp_path / "here").unlink()
        return outcome(lambda: report.param.update(title="new") and report.title)

    theirs, ours = both(update)
    assert theirs[0] is OSError
    assert ours == "new"


def test_numbers_that_are_made_anew_are_checked_each_time() -> None:
    class Between(param.Number):
        def __get__(self, obj: Any, objtype: Any = None) -> Any:
            return ("mine", super().__get__(obj, objtype))

    class Numbers(param.Parameterized):
        plain = param.Number(default=1, bounds=(0, 2))
        own = Between(default=1)
        made = param.Number(default=lambda: next(counted), bounds=(0, 3))
        empty = param.Number(default=None)

    def read() -> Any:
        numbers = Numbers()
        return [outcome(lambda: [numbers.plain, numbers.own, numbers.empty, numbers.made]) for _ in range(4)]

    counted = iter(())
    results = []
    for quick in (False, True):
        counted = iter(range(10))
        if quick:
            param_shortcuts.quicken()
        results.append(read())
    assert results[0] == results[1]
    assert results[1][0][1:] == [("mine", 1), None, 0]
