"""Shortcuts for Panel give what Panel gives, and are for a Panel whose functions we have read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import panel as pn
import panel.io.resources
import panel.models
import pytest
from bokeh.document import Document
from bokeh.model import Model
from harness.comparing import outcome
from panel.io.state import set_curdoc, state
from panel.util import edit_readonly

from service.apps import panel_shortcuts

CONFIG = sys.modules["panel.config"]
SPECS = sys.modules.get("panel.io.resource_spec")  # none in Panel 1.9
REPLACED = [
    (CONFIG._config, "__getattribute__"),
    (CONFIG._config, "set"),
    (sys.modules["panel.util"], "_descendents"),
    (sys.modules["panel.reactive"].Syncable, "_init_params"),
    (sys.modules["panel.theme.base"], "relative_to"),
    *(
        [
            (panel.io.resources, "extension_declared"),
            (panel.io.resources.Resources, "_collect_external_resources"),
            (SPECS, "_has_resources"),
            (SPECS, "_resource_classes"),
        ]
        if SPECS
        else []
    ),
]
"""The functions that have a shortcut, on this line."""


@pytest.fixture(autouse=True)
def _panel_as_it_was() -> Iterator[None]:
    before = [(owner, name, vars(owner)[name]) for owner, name in REPLACED]
    for owner, name, function in before:  # another test of this process may have had a server
        setattr(owner, name, getattr(function, "panels", function))
    yield
    for owner, name, function in before:
        setattr(owner, name, function)


def both(make: Callable[[], Any]) -> tuple[Any, Any]:
    """What ``make`` gives with Panel's own functions and with ours."""
    theirs = make()
    panel_shortcuts.apply_shortcuts()
    return theirs, make()


def test_panel_is_one_the_shortcuts_were_written_for() -> None:
    before = [vars(owner)[name] for owner, name in REPLACED]
    panel_shortcuts.apply_shortcuts()
    assert [vars(owner)[name] for owner, name in REPLACED if vars(owner)[name] in before] == []


def test_a_changed_function_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(self: Any, attr: str) -> Any:
        return object.__getattribute__(self, attr)

    monkeypatch.setattr(CONFIG._config, "__getattribute__", changed)
    panel_shortcuts.apply_shortcuts()
    assert vars(CONFIG._config)["__getattribute__"] is changed


def values_of_config() -> dict[str, Any]:
    names = [*pn.config.param, "nthreads", "admin", "theme", "raw_css", "css_files", "no_such"]
    found = {name: outcome(lambda name=name: getattr(pn.config, name)) for name in names}
    return {name: repr(value) for name, value in found.items()}


def in_session(work: Callable[[], Any]) -> Any:
    document = Document()
    document._session_context = lambda: SimpleNamespace(request=None)
    with set_curdoc(document):
        return work()


def of_a_session_with_values() -> Any:
    pn.config.sizing_mode = "stretch_width"
    pn.config.loading_indicator = True
    pn.config.raw_css.append("body {}")
    with pn.config.set(design=pn.theme.Material, notifications=True):
        inside = values_of_config()
    return inside, values_of_config(), outcome(lambda: setattr(pn.config, "no_such", 1))


def of_values_for_a_while() -> Any:
    before = values_of_config()
    with pn.config.set(sizing_mode="stretch_width", nthreads=None, raw_css=["one"]):
        pn.config.loading_spinner = "dots"
        pn.config.css_files.append("some.css")
        inside = values_of_config()
    failed = outcome(lambda: pn.config.set(sizing_mode="no such mode").__enter__())
    with pytest.raises(KeyError), pn.config.set(theme="dark"):
        raise KeyError
    session = pn.config._session_config.get(state.curdoc) if state.curdoc else None
    return before, inside, failed, values_of_config(), repr(session)


def test_config_has_values_for_a_while() -> None:
    before = {name: value for name, value in pn.config.param.values().items() if name != "name"}

    def outside() -> Any:
        found = of_values_for_a_while()
        pn.config.css_files.remove("some.css")
        pn.config.param.update(**before)
        return found

    theirs, ours = both(lambda: (in_session(of_values_for_a_while), outside()))
    assert ours == theirs
    assert ours[0][1] != ours[0][0]


def test_config_has_the_same_values() -> None:
    theirs, ours = both(lambda: (values_of_config(), in_session(values_of_config)))
    assert ours == theirs


def test_a_session_has_values_of_its_own_and_nobody_else_has_them() -> None:
    def sessions() -> Any:
        return in_session(of_a_session_with_values), in_session(values_of_config), values_of_config()

    theirs, ours = both(sessions)
    assert ours == theirs
    within, _, _ = ours[0]
    assert "body {}" in within["raw_css"]
    assert "body {}" not in ours[1]["raw_css"] + ours[2]["raw_css"]


@pytest.mark.skipif(SPECS is None, reason="Panel 1.9 sends all extensions")
@pytest.mark.parametrize("names", [None, [], ["tabulator"], ["vega", "tabulator", "terminal"]], ids=str)
def test_the_same_classes_have_files_on_a_page(names: list[str] | None) -> None:
    def classes() -> Any:
        return [
            (name, panel.io.resources.extension_declared(cls), SPECS._has_resources(cls))
            for name, cls in sorted(Model.model_class_reverse_map.items())
        ]

    def in_document() -> Any:
        if names is not None:
            state._extensions_[state.curdoc] = names
        return classes()

    theirs, ours = both(lambda: in_session(in_document))
    assert ours == theirs
    assert {declared for _, declared, _ in ours} == ({True} if names is None else {True, False})


class OfAStyle(panel.models.HTML):
    __css__ = "https://cdn.holoviz.org/own.css"  # text in place of a list
    __javascript__ = ("no", "list")


class OfTheSameStyle(OfAStyle):
    __css__ = ["https://cdn.holoviz.org/own.css", "https://cdn.holoviz.org/other.css"] * 2


@pytest.mark.skipif(SPECS is None, reason="Panel 1.9 sends all extensions")
@pytest.mark.parametrize("mode", ["server", "cdn", "inline"])
@pytest.mark.parametrize("names", [None, [], ["tabulator"], ["vega", "tabulator", "terminal"]], ids=str)
def test_a_page_has_the_same_files_in_the_same_order(names: list[str] | None, mode: str) -> None:
    attributes = ("__css__", "__javascript__", "__javascript_modules__", "__no_such__")

    def files() -> Any:
        if names is not None:
            state._extensions_[state.curdoc] = names
        resources = panel.io.resources.Resources(mode=mode)
        collected = [resources._collect_external_resources(each) for each in attributes]
        return collected, SPECS.declared_specs(mode), resources.css_files, resources.js_files

    theirs, ours = both(lambda: in_session(files))
    assert ours == theirs
    assert [each.rpartition("/")[2] for each in ours[0][0] if each.endswith(("own.css", "other.css"))] == [
        "own.css", "other.css",
    ]  # fmt: skip
    assert ours[0][3] == []


@pytest.mark.parametrize("concrete", [True, False])
def test_classes_come_in_the_same_order(concrete: bool) -> None:
    class One(pn.layout.Column): ...

    class Two(One): ...

    class Diamond(Two, pn.layout.Row):
        _abstract = True

    util = sys.modules["panel.util"]

    def found() -> Any:
        classes = (pn.viewable.Viewable, pn.layout.Panel, Diamond, type, "no class")
        return [outcome(lambda cls=cls: util._descendents(cls, concrete)) for cls in classes]

    theirs, ours = both(found)
    assert ours == theirs
    assert Diamond in ours[1]


def test_components_have_the_same_values_at_first() -> None:
    pn.extension("tabulator")

    def values() -> Any:
        made = [
            pn.Column(pn.widgets.Select(options=["a"]), name="column"), pn.pane.Markdown("text"),
            pn.widgets.IntSlider(), pn.widgets.Tabulator(), pn.Tabs(("a", pn.pane.HTML("b"))), pn.Card(),
        ]  # fmt: skip
        found = [[(key, type(value)) for key, value in each._init_params().items()] for each in made]
        return found, [each._init_params()["margin"] for each in made if each.margin]

    theirs, ours = both(values)
    assert ours == theirs


def test_files_of_themes_are_where_they_were() -> None:
    base = sys.modules["panel.theme.base"]
    own = base.THEME_CSS / "default.css"

    def places() -> Any:
        paths = (own, str(own), base.THEME_CSS.parent, "default.css", __file__, None)
        return [outcome(lambda path=path: base.relative_to(path, base.THEME_CSS)) for path in paths * 2]

    theirs, ours = both(places)
    assert ours == theirs
    assert set(ours) == {True, False}


def test_a_busy_indicator_shows_what_its_own_session_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(state), "_indicators", [])
    panel_shortcuts.apply_shortcuts()
    documents, indicators = [Document(), Document()], []
    for document in documents:
        context = SimpleNamespace(request=SimpleNamespace(arguments={}), session=None)
        document._session_context = lambda context=context: context
        with set_curdoc(document):
            indicators.append(indicator := pn.indicators.LoadingSpinner(value=False))
            document.add_root(indicator.get_root(document))
            state.sync_busy(indicator)

    def busy(value: bool, document: Document | None) -> list[bool]:
        with set_curdoc(document), edit_readonly(state):
            state.busy = value
        return [indicator.value for indicator in indicators]

    one, other = documents
    assert busy(True, one) == [True, False]
    assert busy(False, one) == [False, False]
    assert busy(True, other) == [False, True]
    assert busy(False, one) == [False, False], "the last one that is done switches off all"
    assert busy(True, None) == [True, True]
    assert busy(False, None) == [False, False]
