"""What is the same to the last bit and in all types, where Bokeh and Python see no difference.

``==`` finds 1, 1.0 and True equal, 0.0 and -0.0, lists, dicts and arrays of those, and dicts in another
order. Of two such values Bokeh (3.9 and 3.10) keeps the one that there was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bokeh.core.property.wrappers import (
    PropertyValueColumnData,
    PropertyValueDict,
    PropertyValueList,
    PropertyValueSet,
)
from bokeh.model import Model

from service.documents.value_errors import value_errors

__all__ = ("identical", "set_exactly")

_SIMPLE = frozenset({str, int, bool, type(None), bytes, memoryview})
"""Two of one of these types are the same when they are equal."""

_WRAPPED: Mapping[type, type] = {
    PropertyValueList: list, PropertyValueDict: dict, PropertyValueColumnData: dict, PropertyValueSet: set,
}  # fmt: skip
"""How Bokeh (3.9 and 3.10) keeps plain containers."""


def identical(one: Any, other: Any) -> bool:
    """Whether nothing tells the two apart; False also where that is not sure."""
    if one is other:
        return True
    kind = _kind(one)
    if kind is not _kind(other):
        return False
    if kind in _SIMPLE:
        return bool(one == other)
    compare = _COMPARED.get(kind)
    return compare is not None and compare(one, other)


def set_exactly(model: Model, attr: str, value: Any) -> None:
    """Set the attribute, also where Bokeh sees no difference to what it is, or by default would be.

    Some columns refuse to be compared, and those of pandas that are compared item by item count as equal.
    Nobody should listen: of a value that was equal Bokeh tells as if there had been none.
    """
    values = model._property_values  # bokeh 3.9 and 3.10
    before = values.get(attr, _UNEQUAL)
    if before is not _UNEQUAL and identical(before, value):
        return
    try:
        _set(model, attr, value)
    except value_errors():
        if before is _UNEQUAL:
            raise
    else:
        if values.get(attr, _UNEQUAL) is not before or _is_as_by_default(model, attr, value):
            return
    _set_anew(model, attr, value)


def _set(model: Model, attr: str, value: Any) -> None:
    """As the model's own method does, which first makes a text of the value: of some columns that fails."""
    if attr in model.properties():
        model.lookup(attr).set_from_json(model, value)
    else:
        model.set_from_json(attr, value)  # which warns


def _is_as_by_default(model: Model, attr: str, value: Any) -> bool:
    if attr in model._property_values:
        return False
    return attr not in model.properties() or identical(getattr(model, attr), value)


def _set_anew(model: Model, attr: str, value: Any) -> None:
    values = model._property_values
    before = values.get(attr, _UNEQUAL)
    values[attr] = _UNEQUAL
    try:
        _set(model, attr, value)
    finally:
        if values.get(attr) is _UNEQUAL:
            del values[attr]
            if before is not _UNEQUAL:
                values[attr] = before


class _Unequal:
    """In the place of a value: nothing equals it."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


_UNEQUAL: Any = _Unequal()


def _kind(value: Any) -> type:
    kind = type(value)
    return _WRAPPED.get(kind, kind)


def _numbers(one: float, other: float) -> bool:
    if one != one:
        return other != other
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def _sequences(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    if not _SIMPLE.issuperset(map(type, one)):
        return all(map(identical, one, other))
    # Most lists are long and plain: those are compared without a call for each item.
    return list(map(type, one)) == list(map(type, other)) and bool(one == other)


def _maps(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    return _sequences(list(one), list(other)) and _sequences(list(one.values()), list(other.values()))


def _arrays(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    dtype = one.dtype
    if dtype != other.dtype or dtype.hasobject or dtype.kind == "T" or one.shape != other.shape:
        return False
    return not one.nbytes or np.array_equal(_bytes_of(one), _bytes_of(other))


def _bytes_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


_COMPARED: Mapping[type, Callable[[Any, Any], bool]] = {
    float: _numbers,
    list: _sequences,
    tuple: _sequences,
    dict: _maps,
    np.ndarray: _arrays,
}
