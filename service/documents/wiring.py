"""Python callbacks that app code adds to models while a session runs.

The app's run makes its callbacks anew on any replica. What is added later is there again only if what added
it runs again, which is known of inputs of clients. So it is noted which input added a callback, and of each
model what its callbacks are, so that the next replica can tell whether it has them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePath
from types import MethodType
from typing import Any, TypeAlias

from bokeh.document import Document
from bokeh.events import Event
from bokeh.model import Model
from bokeh.models.layouts import Tabs
from bokeh.models.widgets import Markup, Widget
from bokeh.server.callbacks import PeriodicCallback
from bokeh.util.callback_manager import EventCallbackManager, PropertyCallbackManager

from service.documents.attributes import property_of
from service.documents.ids import InputIds, current_ids

__all__ = (
    "PERIODIC", "Input", "Message", "Wire", "by_library", "current_input", "drop_mistaken", "drop_periodic",
    "follows_from_client", "install", "is_missed", "label_of", "periodic_wires", "place_of_code", "wires_of",
)  # fmt: skip

Wire: TypeAlias = "tuple[str, str, list[Any]]"
"""A callback: the attribute or event that it waits for, where its code is, and plain values that it holds."""

PERIODIC = ""
"""Stands for the periodic callbacks of a Document, in the place of a model's id."""

MAX_TEXT = 24
"""Characters of text that counts as a value: what is longer is often made by chance, as keys are."""


@dataclass(frozen=True, slots=True)
class Message:
    """One of a client's messages of other types than Bokeh's own: of the comms of ipywidgets, say."""

    kind: str
    data: Any
    place: Sequence[str] = ()
    """Where it sets a value, of which the last one counts; empty: it does something, as clicks do."""


class Input:
    """One message of a client, and all that follows from it: what it set, and the events it told of."""

    __slots__ = ("clicked", "events", "ids", "number", "values")

    def __init__(self, ids: InputIds | None = None) -> None:
        self.ids = ids
        """Those of the models that it makes; None: the session's own, as for the app's run."""
        self.number = 0
        """In the history of the journal; 0: not in there."""
        self.values: list[tuple[str, str, int, int, Any]] = []
        """Model id, attribute, sequence, place of the ids before, and the value."""
        self.events: list[tuple[int, Event | Message]] = []
        """With the place of the ids before."""
        self.clicked: set[str] = set()
        """Models whose clicks are counted by the objects behind them."""


current_input: ContextVar[Input | None] = ContextVar("current_input", default=None)
"""What the code that runs now follows from; None for periodic callbacks, threads, and the app's own run."""


def follows_from_client() -> bool:
    """Whether the code that runs now follows from what a client did."""
    source = current_input.get()
    return source is not None and source.ids is not None


class following:  # noqa: N801 - a context manager, around each input: by hand instead of from a generator
    """What runs inside, and what that puts off, follows from the input, and gives ids of its to models."""

    __slots__ = ("_source", "_tokens")

    def __init__(self, source: Input) -> None:
        self._source = source

    def __enter__(self) -> None:
        source = self._source
        self._tokens = current_input.set(source), current_ids.set(source.ids or current_ids.get())

    def __exit__(self, *exception: object) -> None:
        current_input.reset(self._tokens[0])
        current_ids.reset(self._tokens[1])


bokeh_on_change = PropertyCallbackManager.on_change
bokeh_remove_on_change = PropertyCallbackManager.remove_on_change
bokeh_on_event = EventCallbackManager.on_event


def install() -> None:
    """Note callbacks where they are added (bokeh 3.9 and 3.10: all models have these methods). Idempotent."""
    PropertyCallbackManager.on_change = on_change  # type: ignore[method-assign]
    PropertyCallbackManager.remove_on_change = remove_on_change  # type: ignore[method-assign]
    EventCallbackManager.on_event = on_event  # type: ignore[method-assign]


def on_change(self: PropertyCallbackManager, attr: str, *callbacks: Any) -> None:
    bokeh_on_change(self, attr, *callbacks)
    _note(self, callbacks)


def remove_on_change(self: PropertyCallbackManager, attr: str, *callbacks: Any) -> None:
    bokeh_remove_on_change(self, attr, *callbacks)
    _note(self, ())


def on_event(self: EventCallbackManager, event: Any, *callbacks: Any) -> None:
    bokeh_on_event(self, event, *callbacks)
    _note(self, callbacks)


def _note(model: Any, callbacks: tuple[Any, ...]) -> None:
    ids = current_ids.get()
    if ids is not None and ids.on_wired is not None:
        ids.on_wired(model, callbacks)


# -- what the callbacks of a model are -------------------------------------------------------------


def wires_of(model: Model) -> list[Wire]:
    """The Python callbacks of the model that somebody would miss."""
    return [_wire(kind, callback) for kind, callback in _callbacks(model) if is_missed(model, callback)]


def is_periodic(document: Document) -> bool:
    """Whether anything is called again and again."""
    return any(isinstance(each, PeriodicCallback) for each in document.session_callbacks)


def periodic_wires(document: Document) -> list[Wire]:
    """As :func:`wires_of`, for what is called again and again."""
    found = (each for each in document.session_callbacks if isinstance(each, PeriodicCallback))
    return [_periodic_wire(each) for each in found]


def _periodic_wire(callback: PeriodicCallback) -> Wire:
    return f"every {callback.period} ms", place_of_code(callback.callback), []


def drop_periodic(document: Document, kept: Sequence[list[str]]) -> None:
    """Stop what is called again and again, but for callbacks like these (period and place)."""
    left = list(kept)
    for callback in document.session_callbacks:
        if isinstance(callback, PeriodicCallback):
            wire = list(_periodic_wire(callback)[:2])
            if wire in left:
                left.remove(wire)
            else:
                document.callbacks.remove_session_callback(callback)


def drop_mistaken(model: Model, kept: Iterable[Wire]) -> None:
    """Take callbacks away that hold other values than those they stand for.

    They were made again by code that counted on, or looked at something that is another by now: what they do
    would be done to the wrong row.
    """
    wanted: dict[tuple[str, str], list[Any]] = {}
    for kind, place, facts in kept:
        wanted.setdefault((kind, place), []).append(facts)
    for kind, callback in list(_callbacks(model)):
        wire = _wire(kind, callback)
        if wire[2] not in wanted.get(wire[:2], [wire[2]]):
            _lists(model)[kind].remove(callback)


def _callbacks(model: Model) -> Iterator[tuple[str, Any]]:
    for kind, callbacks in _lists(model).items():
        for callback in callbacks:
            yield kind, callback


def _lists(model: Model) -> dict[str, list[Any]]:
    # bokeh 3.9 and 3.10: where a model keeps its callbacks.
    events = {f"event {name}": callbacks for name, callbacks in model._event_callbacks.items()}
    return {**model._callbacks, **events}


def is_missed(model: Model, callback: Any) -> bool:
    """Panel (1.9 and 1.10) listens to all that it draws; of that only what users act on matters."""
    if not _module(callback).startswith("panel."):
        return True
    return isinstance(model, Tabs) or (isinstance(model, Widget) and not isinstance(model, Markup))


def by_library(callbacks: Sequence[Any]) -> bool:
    """Whether Panel itself, and nobody else, listens with these."""
    return bool(callbacks) and all(_module(each).startswith("panel.") for each in callbacks)


def _wire(kind: str, callback: Any) -> Wire:
    return kind, place_of_code(callback), list(_facts(callback))


def _module(callback: Any) -> str:
    return str(getattr(_function(callback), "__module__", ""))


def _function(callback: Any) -> Any:
    """What is behind partials, methods and decorators."""
    while True:
        if isinstance(callback, functools.partial):
            callback = callback.func
        elif isinstance(callback, MethodType):
            callback = callback.__func__
        elif hasattr(callback, "__wrapped__"):
            callback = inspect.unwrap(callback)
        else:
            return callback


def label_of(model: Model) -> str:
    """The model, as its user or its author knows it."""
    names = (property_of(model, attr) for attr in ("title", "label", "name"))
    name = next((name for name in names if isinstance(name, str) and name), model.id)
    return f"{type(model).__name__} {name!r:.80}"


def place_of_code(callback: Any, *, full: bool = False) -> str:
    """``app.py:12 on_move``; with ``full`` the whole path, for its author."""
    function = _function(callback)
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if code is None:
        return str(name)
    path = code.co_filename if full else PurePath(code.co_filename).name
    return f"{path}:{code.co_firstlineno} {name}"


def _facts(callback: Any) -> Iterator[Any]:
    """Plain values that the callback holds: arguments of partials, defaults, and variables around it."""
    held: list[Any] = []
    while True:
        if isinstance(callback, functools.partial):
            held += [*callback.args, *callback.keywords.values()]
            callback = callback.func
        elif isinstance(callback, MethodType):
            callback = callback.__func__
        else:
            break
    held += getattr(callback, "__defaults__", None) or ()
    held += (_content(cell) for cell in getattr(callback, "__closure__", None) or ())
    for value in held:
        if isinstance(value, Model):
            yield f"model {value.id}"
        elif type(value) in (int, bool) or (type(value) is str and len(value) <= MAX_TEXT):
            yield value if type(value) is not int or value.bit_length() < 63 else str(value)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None
