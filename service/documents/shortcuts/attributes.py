"""A model's attributes as they are sent, read and encoded in one pass (bokeh 3.9 and 3.10).

When a thousand pages pull at once, most of what that costs is finding out which of its properties a model
has values for, and of what kind each value is. The first follows from their names, which are the same for
the same models of other sessions; the second from the type, but for what only Bokeh knows.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.singletons import Undefined
from bokeh.core.property.wrappers import (
    PropertyValueColumnData,
    PropertyValueContainer,
    PropertyValueDict,
    PropertyValueList,
)
from bokeh.core.serialization import Serializer
from bokeh.model import Model

from service.documents.shortcuts.facts import Facts, Layout, facts_of

__all__ = ("attributes_of", "encodes_as_bokeh")

_AS_IT_IS = frozenset({str, bool, type(None)})
_LISTS = frozenset({list, PropertyValueList})
_DICTS = frozenset({dict, PropertyValueDict, PropertyValueColumnData})
_KNOWN = frozenset({*_AS_IT_IS, *_LISTS, *_DICTS, int, float})
_MAX_SAFE_INT = 2**53 - 1
"""Above it Bokeh warns, and writes a float."""

_MAX_LAYOUTS = 64
"""Remembered per class: more are of a class whose models are hardly ever alike."""

bokeh_properties = HasProps.properties_with_values


def encodes_as_bokeh(serializer: Serializer) -> bool:
    """Whether it writes plain values, lists and dicts as Bokeh's own, and nobody registered another way."""
    kind = type(serializer)
    return (
        kind._encode is Serializer._encode
        and kind.encode is Serializer.encode
        and not serializer._check_circular
        and _KNOWN.isdisjoint(serializer._encoders)
    )


def attributes_of(model: HasProps, serializer: Serializer) -> dict[str, Any] | None:
    """The attributes that are no defaults, encoded; None where Bokeh has to be asked for them.

    For a serializer that :func:`encodes_as_bokeh`.
    """
    given, made = model._property_values, model._unstable_default_values
    if type(model).properties_with_values is not bokeh_properties or model.themed_values():
        return None
    facts = facts_of(model)
    names = (*given, None, *made)
    layout = facts.layouts.get(names)
    if layout is None:
        layout = _learn(facts, names, model)
    if not layout.complete:
        return None
    found = {}
    for name, descriptor in layout.properties:
        if descriptor is None:
            value = given[name] if name in given else made[name]
        else:
            value = descriptor.get_value(model)
        if value is Undefined:
            return None  # it raises
        if name in made and isinstance(value, PropertyValueContainer):
            continue
        found[name] = value
    return {name: _encoded(value, serializer) for name, value in found.items()}


def _learn(facts: Facts, names: tuple[str | None, ...], model: HasProps) -> Layout:
    """What those have that have values of their own for the same properties."""
    known = {name for name in names if name is not None}
    # Whatever has no value must raise, whatever is made must be made: by Bokeh's own.
    complete = known.issuperset(facts.required) and known.issuperset(name for name, _ in facts.eager)
    layout = Layout(
        complete, [(name, _special(facts, name)) for name in facts.order if _is_sent(facts, name, known)]
    )
    if len(facts.layouts) < _MAX_LAYOUTS:
        facts.layouts[names] = layout
    return layout


def _is_sent(facts: Facts, name: str, known: set[str]) -> bool:
    return name in known and name in facts.serialized


def _special(facts: Facts, name: str) -> PropertyDescriptor[Any] | None:
    """The descriptor, if it gives another value than the one that the model has."""
    descriptor: PropertyDescriptor[Any] = facts.descriptors[name]
    kind = type(descriptor)
    plain = kind.__get__ is PropertyDescriptor.__get__ and kind.get_value is PropertyDescriptor.get_value
    return None if plain else descriptor


def _encoded(value: Any, serializer: Serializer) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is float:
        return value if isfinite(value) else serializer._encode_float(value)
    if kind is int:
        return value if -_MAX_SAFE_INT < value <= _MAX_SAFE_INT else serializer._encode_int(value)
    if kind in _LISTS:
        return [_encoded(item, serializer) for item in value]
    if kind in _DICTS:
        if not value:
            return {"type": "map"}
        entries = [(_encoded(key, serializer), _encoded(item, serializer)) for key, item in value.items()]
        return {"type": "map", "entries": entries}
    if isinstance(value, Model):
        ref = serializer.get_ref(value)
        return value.to_serializable(serializer) if ref is None else ref
    return serializer.encode(value)
