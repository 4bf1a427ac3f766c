"""What Bokeh checks, and which models refer to which, by Bokeh's own functions and by ours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import bokeh.document.document as bokeh_document
import bokeh.util.callback_manager as bokeh_callbacks
import pytest
from bokeh.core.validation import error
from bokeh.core.validation.errors import BAD_COLUMN_NAME
from bokeh.layouts import column, row
from bokeh.models import CustomJS, GridBox, Range1d, Row, Slider, Tabs, TapTool
from bokeh.plotting import figure
from harness.comparing import both, outcome

from service.documents import shortcuts


@pytest.fixture(autouse=True)
def _bokeh_as_it_was() -> Iterator[None]:
    yield
    shortcuts.remove()


class Methods:
    def three(self, attr: str, old: Any, new: Any) -> None: ...
    def four_with_default(self, a: Any, b: Any, c: Any, d: int = 1) -> None: ...
    def any_number(self, *args: Any) -> None: ...
    def by_name(self, attr: str, old: Any, *, new: Any) -> None: ...
    def __call__(self, a: Any, b: Any, c: Any) -> None: ...

    @classmethod
    def of_class(cls, a: Any, b: Any, c: Any) -> None: ...
    @staticmethod
    def of_nobody(a: Any, b: Any, c: Any) -> None: ...


@functools.wraps(Methods.of_nobody)
def wrapped(*args: Any) -> None: ...


def with_signature(*args: Any) -> None: ...


with_signature.__signature__ = bokeh_callbacks.signature(lambda one, two: None)  # type: ignore[attr-defined]


def none_at_all() -> None: ...


METHODS = Methods()
CALLBACKS: list[Any] = [
    METHODS, METHODS.three, Methods.three, METHODS.four_with_default, METHODS.any_number, METHODS.by_name,
    Methods.of_class, Methods.of_nobody, wrapped, with_signature, none_at_all, lambda attr, old, new: None,
    lambda attr, old, new=1: None, lambda **names: None, lambda a, b, c, /: None, print, int, Slider,
    functools.partial(METHODS.three, 1), functools.partial(METHODS.three),
    functools.partial(METHODS.three, 1, 2),
    functools.partial(METHODS.three, new=1), functools.partial(METHODS.any_number, 1),
    functools.partial(lambda a, b, c, d=1, e=2: None, 1, 2, 3), functools.partial(none_at_all, 1),
    functools.partial(functools.partial(METHODS.four_with_default, 1), 2),
    functools.partial(METHODS.by_name, 1),
    functools.partial(METHODS.four_with_default, 1, 2, 3, 4), functools.partial(METHODS.three, 1, 2, 3, 4),
]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize(
    "callback", CALLBACKS, ids=lambda each: getattr(each, "__qualname__", repr(each)[:40])
)
def test_the_same_callbacks_are_taken_and_refused(callback: Callable[..., Any], number: int) -> None:
    names = ("attr", "old", "new", "more", "most")[:number]
    theirs, ours = both(lambda: outcome(lambda: bokeh_callbacks._check_callback(callback, names, "It")))
    assert ours == theirs


def test_models_of_all_kinds_pass_the_same_checks() -> None:
    def checked() -> Any:
        empty = figure(x_range=Range1d(0, 0), name="empty")
        wrong = figure(name="wrong")
        source = wrong.line([1], [2]).data_source
        source.data = {"neither": [1]}
        models = [Row(), Tabs(), GridBox(), column(row(empty), wrong), Slider(start=1, end=0, value=2)]
        refs = [each for model in models for each in sorted(model.references(), key=lambda one: one.id)]
        issues = bokeh_document.check_integrity(refs)
        return [(each.code, each.name, each.text, each.extra) for each in (*issues.error, *issues.warning)]

    theirs, ours = both(checked)
    assert ours == theirs
    assert len(ours) >= 3


def test_checks_of_one_model_alone_are_made_too() -> None:
    class Checked(Slider):
        @error(BAD_COLUMN_NAME)
        def _check_of_class(self) -> str | None:
            return "of the class" if self.title else None

    def checked() -> Any:
        own, other = Checked(title="one", start=0, end=1, value=0), Slider(start=0, end=1, value=0)
        other._check_of_its_own = own._check_of_class  # type: ignore[attr-defined]
        issues = bokeh_document.check_integrity([own, other])
        return [(each.code, each.extra) for each in issues.error]

    theirs, ours = both(checked)
    assert ours == theirs
    assert len(ours) == 2


def test_the_same_models_are_found_by_their_references() -> None:
    def found() -> Any:
        plot = figure(title="one", tools="tap,hover,box_select")
        plot.line([1, 2], [3, 4], legend_label="a")
        plot.tags = [1, "two", (Range1d(),), {"key": [Range1d(end=2)]}, None, True, 2.5]
        slider = Slider(start=0, end=1, value=0)
        slider.js_on_change("value", CustomJS(args={"plot": plot, "many": [Range1d(), "a"]}, code=""))
        plot.select_one(TapTool).callback = CustomJS(args={"slider": slider}, code="")
        return sorted(each.id for each in column(plot, slider).references())

    theirs, ours = both(found)
    assert ours == theirs
    assert len(ours) > 30


@pytest.mark.parametrize("values", [{}, {"title": "themed"}, {"tags": [1]}])
def test_themes_come_and_go_alike(values: dict[str, Any]) -> None:
    def applied() -> Any:
        slider, seen = Slider(start=0, end=1, value=0), []
        for name in ("title", "tags"):
            slider.on_change(name, lambda attr, old, new: seen.append((attr, repr(old), repr(new))))
        for theme in ({}, values, {}, values):
            slider.apply_theme(theme)
            seen.append((slider.themed_values(), slider.title, list(slider.tags)))
        slider.unapply_theme()
        return seen, slider.themed_values(), outcome(lambda: slider.apply_theme(None))  # type: ignore[arg-type]

    theirs, ours = both(applied)
    assert ours == theirs
