"""Undoing what replayed callbacks did to a Document, where the journal has nothing to lay over it.

They run for the last value of each input only, and in another order than at first: what they change beyond
the journal was not so. What they stream into a data source is in the journal, too, and would be there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.document import Document
from bokeh.document.events import RootAddedEvent, RootRemovedEvent, TitleChangedEvent
from bokeh.model import Model

from service.documents.identical import set_exactly

__all__ = ("Undoing",)

Back = Callable[[], Any]
"""Puts what is in a container back, and gives the container."""


class Undoing:
    """What a Document was before callbacks are replayed, and which of it they changed."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._values = {model.id: _kept_values(model) for model in document.models}
        self._title, self._roots, self._theme = document.title, list(document.roots), document.theme
        self.changed: set[tuple[str, str]] = set()
        """Model id and attribute."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what changes inside (bokeh 3.9 and 3.10: each change of a Document's models comes by here)."""
        manager: Any = self._document.callbacks
        trigger = manager.trigger_on_change

        def note(event: Any) -> None:
            if not isinstance(event, TitleChangedEvent | RootAddedEvent | RootRemovedEvent):
                attr = getattr(event, "attr", None)
                if isinstance(attr, str):
                    self.changed.add((event.model.id, attr))
            trigger(event)

        manager.trigger_on_change = note
        try:
            yield
        finally:
            del manager.trigger_on_change

    def undo(self, model: Model, attr: str) -> None:
        """Give the attribute the value that it had, in the very container that it was in."""
        back = self._values.get(model.id, {}).get(attr)
        if back is not None:
            value = back()
            if getattr(model, attr) is not value:
                # Bokeh (3.9 and 3.10) refuses columns that are another source's, or were this one's.
                set_exactly(model, attr, dict(value) if isinstance(value, PropertyValueColumnData) else value)
        elif model.id in self._values:
            # bokeh 3.9 and 3.10: nothing was set, so what was set since goes.
            model._property_values.pop(attr, None)
            model._unstable_default_values.pop(attr, None)

    def undo_outline(self, *, title: bool, roots: bool, theme: bool) -> None:
        """Those of a Document's own properties for which the journal has nothing."""
        document = self._document
        if title and document.title != self._title:
            document.title = self._title
        if roots and document.roots != self._roots:
            for root in list(document.roots):
                document.remove_root(root)
            for root in self._roots:
                document.add_root(root)
        if theme and document.theme is not self._theme:
            document.theme = self._theme


def _kept_values(model: Model) -> Mapping[str, Back]:
    # bokeh 3.9 and 3.10: what is set is in the first, what by default differs by instance in the second.
    return {
        name: _kept(value)
        for values in (model._unstable_default_values, model._property_values)
        for name, value in values.items()
    }


def _kept(value: Any) -> Back:
    """Lists, dicts and arrays are copied: callbacks change them in place, and the app may hold them, too."""
    if isinstance(value, list):
        return _kept_list(value)
    if isinstance(value, dict):
        return _kept_dict(value)
    return _kept_array(value) if type(value) is np.ndarray else lambda: value


def _kept_list(value: list[Any]) -> Back:
    inner = any(issubclass(kind, list | dict | np.ndarray) for kind in set(map(type, value)))
    items: list[Any] = [_kept(item) for item in value] if inner else list(value)

    def back() -> list[Any]:
        # Not by the methods of Bokeh's own lists, which tell of it.
        list.__setitem__(value, slice(None), [item() for item in items] if inner else items)
        return value

    return back


def _kept_dict(value: dict[Any, Any]) -> Back:
    items = {key: _kept(item) for key, item in value.items()}

    def back() -> dict[Any, Any]:
        dict.clear(value)
        dict.update(value, {key: item() for key, item in items.items()})
        return value

    return back


def _kept_array(value: np.ndarray[Any, Any]) -> Back:
    copy = value.copy()

    def back() -> np.ndarray[Any, Any]:
        if not value.flags.writeable:
            return value
        value[...] = copy
        return value

    return back
