"""The parameters of Panel's objects behind the models of a Document (panel 1.9 and 1.10).

A journal brings models back, but what an app computes with next are the objects that made them: a pane whose
callback appends to ``pane.object`` must go on from what its model shows. What a model shows of it cannot be
turned back into it in general, so the object's own value is kept, where it is plain.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bokeh.document import Document

__all__ = ("read_objects", "restore_objects")

log = logging.getLogger(__name__)

_STATE = "panel.io.state"
_SHOWN = ("object", "value")
"""Parameters that a model shows in another form."""

_PLAIN = (str, int, float, bool, bytes, type(None))

Parameters = Mapping[str, Any]


def read_objects(document: Document, changed: Mapping[str, set[str]]) -> dict[str, Parameters]:
    """Plain parameters by model id, for models of which these attributes have changed."""
    found = {}
    for model_id, viewable in _objects(document):
        if model_id in changed:
            names = _parameters(viewable, changed[model_id])
            values = {name: getattr(viewable, name) for name in names}
            found[model_id] = {name: value for name, value in values.items() if _is_plain(value)}
    return {model_id: values for model_id, values in found.items() if values}


def restore_objects(document: Document, stored: Mapping[str, Parameters]) -> None:
    """Give the objects these parameters; nobody hears of it, as their models are right already.

    Must run in the Document's context.
    """
    if not stored:
        return
    for model_id, viewable in _objects(document):
        kept = stored.get(model_id, {})
        values = {name: kept[name] for name in kept if name in viewable.param}
        values = {name: value for name, value in values.items() if getattr(viewable, name) != value}
        if values:
            _set_silently(viewable, values)


def _objects(document: Document) -> Iterator[tuple[str, Any]]:
    state = sys.modules.get(_STATE)
    if state is None:
        return
    for ref, (view, _root, owner, _comm) in list(state.state._views.items()):
        if owner is document and hasattr(view, "select"):
            for viewable in view.select():
                model = getattr(viewable, "_models", {}).get(ref)
                if model is not None:
                    yield model[0].id, viewable


def _parameters(viewable: Any, attributes: Iterable[str]) -> Iterable[str]:
    renamed = {theirs: ours for ours, theirs in viewable._property_mapping.items() if theirs is not None}
    names = {renamed.get(attr, attr) for attr in attributes} | set(_SHOWN)
    return [name for name in names if name in viewable.param and not viewable.param[name].constant]


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return type(value) in _PLAIN and not (type(value) is int and value.bit_length() > 63)


def _set_silently(viewable: Any, values: Parameters) -> None:
    """A parameter that follows another, or a function, goes on to do so, as where Panel takes inputs."""
    from param.parameterized import _syncing, discard_events

    try:
        with discard_events(viewable), _syncing(viewable, list(values)):
            viewable.param.update(**values)
    except ValueError as error:  # the app's bounds or options are others by now
        log.warning("an object of Panel's does not take back %s: %s", ", ".join(values), error)
