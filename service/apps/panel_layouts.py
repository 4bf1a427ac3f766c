"""Rows, tabs and chat messages that Panel apps (1.9 and 1.10) add while they run, after a move.

The journal brings their models back, but the layouts of the app do not know of objects behind them: the next
row would take the place of all that are there. So each layout gets an object for each child of its model:

- texts, layouts and chat messages are made anew from their parameters, and go on as ever;
- anything else is shown as it was by an object that stands for its model.

Controls are none of this: what made those is repeated before (:mod:`service.documents.history`).
"""

from __future__ import annotations

import datetime
import operator
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from bokeh.model import DataModel, Model
from bokeh.models import Tabs

from service.apps.panel_chats import is_message
from service.apps.when_imported import imported
from service.documents.attributes import property_of
from service.documents.identical import identical
from service.documents.values import ValueReader, write_value

__all__ = ("PASSING", "describe", "fill_layout", "is_feed", "is_layout", "unseen_objects")

_LAYOUT = "panel.layout.base"
_CHAT = "panel.chat"
_CONTENT = "content"
PASSING = "passing"
"""Of an object that is not made anew, and whose model goes: it told of work that is over with the replica."""
_AUTOMATIC_NAME = re.compile(r"[A-Za-z]+\d{5}")
_NEVER = frozenset({"object", "objects", "name", "show_activity_dot"})
_SIMPLE = (str, int, float, bool, bytes, type(None), datetime.datetime, datetime.date)


def is_layout(viewable: Any) -> bool:
    """Whether it has a list of children that grows and shrinks."""
    module = imported(_LAYOUT)
    return module is not None and isinstance(viewable, module.ListLike | module.NamedListLike)


def is_feed(viewable: Any) -> bool:
    """Whether it makes models of those children only that are near to what is seen."""
    module = imported("panel.layout.feed")
    return module is not None and isinstance(viewable, module.Feed)


# -- keeping -----------------------------------------------------------------------------------


def describe(viewable: Any, ref: str) -> dict[str, Any] | None:
    """What the object can be made anew from; None for one that cannot be."""
    cls = type(viewable)
    if not _is_of_panel(cls):
        return None
    params = {name: getattr(viewable, name) for name in viewable.param if _is_told(viewable, name)}
    described: dict[str, Any] = {"class": f"{cls.__module__}:{cls.__name__}"}
    if not is_layout(viewable):
        if _is_simple(viewable.object):
            params["object"] = viewable.object
        elif is_message(viewable) and ref in viewable._object_panel._models:
            described[_CONTENT] = viewable._object_panel._models[ref][0].id
        else:
            return None
    return {**described, "params": write_value(params)[0]}


def unseen_objects(feed: Any, ref: str) -> dict[str, Any]:
    """What is above and below the children that have models."""
    first, last = feed._last_synced or (0, len(feed))
    above, below = feed.objects[:first], feed.objects[last:]
    if not above and not below:
        return {}
    return {
        "above": [describe(each, ref) for each in above],
        "below": [describe(each, ref) for each in below],
    }


def _is_of_panel(cls: type) -> bool:
    """Whether it is a class of Panel's of which nobody needs to know more than its parameters."""
    module = cls.__module__
    made = ("panel.pane.markup", "panel.pane.alert", "panel.layout", f"{_CHAT}.message")
    return any(module == each or module.startswith(f"{each}.") for each in made)


def _is_told(viewable: Any, name: str) -> bool:
    parameter, value = viewable.param[name], getattr(viewable, name)
    if name == "name":
        return isinstance(value, str) and not _AUTOMATIC_NAME.fullmatch(value)
    if name in _NEVER or parameter.constant or parameter.readonly or not _is_simple(value):
        return False
    return not identical(value, parameter.default)


def _is_simple(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_simple, value))
    if type(value) is dict:
        return all(type(key) is str and _is_simple(item) for key, item in value.items())
    return type(value) in _SIMPLE


# -- restoring ---------------------------------------------------------------------------------


class _Maker:
    """Makes objects for models under one root."""

    def __init__(
        self, layout: Any, ref: str, known: Mapping[str, Any], stored: Mapping[str, Any], chat: Any
    ) -> None:
        self._layout = layout
        self._ref = ref
        self._known = known
        self._stored = stored
        self._chat = chat
        """Who made the layout's messages, if it is that of a chat."""

    def of_model(self, model: Any) -> Any:
        known = self._known.get(model.id)
        if known is not None:
            return known
        described = self._stored.get(model.id, {}).get("-made")
        made = None if described is None else self.of_description(described, model)
        return _stand_in(model) if made is None else made

    def of_description(self, described: Mapping[str, Any], model: Any = None) -> Any:
        module, _, name = described["class"].partition(":")
        cls: Any = getattr(sys.modules.get(module) or import_module(module), name)
        if not _is_of_panel(cls):
            return None
        params = ValueReader(()).decode(described["params"])
        if _CONTENT in described:
            params["object"] = _content(model, described[_CONTENT])
        if _is_message_class(cls) and self._chat is not None:
            return self._chat._build_message(params)
        made = cls(**params)
        if is_layout(made) and model is not None:
            made[:] = self.items(made, model)
        return made

    def items(self, layout: Any, model: Any) -> list[Any]:
        """Objects for all children of the model, as the layout takes them."""
        if _has_tabs(model):
            return [(tab.title, self.of_model(tab.child)) for tab in model.tabs]
        return [self.of_model(child) for child in _children(layout, model) if not self._is_passing(child)]

    def _is_passing(self, model: Any) -> bool:
        return bool(self._stored.get(model.id, {}).get("-made", {}).get(PASSING))


def fill_layout(
    layout: Any, model: Any, ref: str, *, known: Mapping[str, Any], stored: Mapping[str, Any], chat: Any
) -> bool:
    """Give the layout an object for each child of its model; whether some were missing."""
    if getattr(layout, "dynamic", False) or not _is_filled_by_list(layout, model):
        return False
    shown = [each._models[ref][0] for each in layout if ref in each._models]
    wanted = _children(layout, model)
    unseen = stored.get(model.id, {}).get("-unseen", {})
    complete = not unseen or len(layout) == len(wanted) + sum(map(len, unseen.values()))
    if complete and _are_same(shown, wanted):
        return False
    maker = _Maker(layout, ref, known, stored, chat)
    layout[:] = [
        *_made(maker, unseen.get("above", ())),
        *maker.items(layout, model),
        *_made(maker, unseen.get("below", ())),
    ]
    return True


def _are_same(some: list[Any], others: list[Any]) -> bool:
    """Not only by their ids: repeated inputs that took other turns give those to other models."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _made(maker: _Maker, described: Iterable[Mapping[str, Any] | None]) -> list[Any]:
    made = [maker.of_description(each) for each in described if each is not None and _CONTENT not in each]
    return [each for each in made if each is not None]


def _is_filled_by_list(layout: Any, model: Any) -> bool:
    if isinstance(own := _own_children(model), list):
        return isinstance(layout, sys.modules[_LAYOUT].ListLike) and all(
            isinstance(each, Model) for each in own
        )
    children = model.tabs if _has_tabs(model) else property_of(model, "children")
    return (
        isinstance(children, list)
        and all(isinstance(each, Model) for each in children)
        and not _is_accordion(layout)
    )


def _own_children(model: Any) -> list[Any] | None:
    """Those of a layout with JavaScript of its own (panel_material_ui), whose model has their names."""
    data = property_of(model, "data")
    return getattr(data, "objects", None) if isinstance(data, DataModel) else None


def _has_tabs(model: Any) -> bool:
    return isinstance(model, Tabs)


def _is_accordion(layout: Any) -> bool:
    return type(layout).__name__ == "Accordion"  # whose model has a card around each child


def _children(layout: Any, model: Any) -> list[Any]:
    if _has_tabs(model):
        return [tab.child for tab in model.tabs]
    if isinstance(own := _own_children(model), list):
        return list(own)
    header = 1 if type(model).__name__ == "Card" else 0  # comes before what the layout lists
    return list(model.children[header:])


def _is_message_class(cls: type) -> bool:
    return cls.__module__ == f"{_CHAT}.message"


def _content(message: Any, model_id: str) -> Any:
    found = None if message is None else message.select_one({"id": model_id})
    return "" if found is None else _stand_in(found)


def _stand_in(model: Any) -> Any:
    return sys.modules["panel.pane"].Bokeh(model)
