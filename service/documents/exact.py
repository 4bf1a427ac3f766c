"""What Bokeh's encoding of a Document loses of its values, so that its base can be laid over a later run.

The base is kept as clients got it, where 64-bit integers are floats and times are milliseconds. Beside it
stands here, for the values that differ from their encoding, what they were: the dtype where a cast of
the encoded numbers gives them back to the last bit, else the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from bokeh.core.property.descriptors import DataSpecPropertyDescriptor
from bokeh.core.property.vectorization import Field, Value
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.document import Document
from bokeh.model import Model
from bokeh.util.dataclasses import Unspecified

from service.documents.losses import Losses, place_of
from service.documents.values import write_value

__all__ = ("Exact", "cast", "cast_of", "columns_of", "exact_values", "read_exactly", "shortened")

Exact = dict[str, dict[str, Any]]
"""Model id to attribute to its record, or to records by column for those of a data source.

A record is a list: ``["value", encoded]``, ``["cast", dtype]`` or ``["columns", {name: record}]``.
"""

_SAFE = 2**53 - 1
"""Integers beyond are floats to BokehJS (bokeh 3.9 and 3.10: ``_MAX_SAFE_INT``)."""

_SAME = frozenset({str, float, bool, type(None), bytes})
_BINARY = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"})
"""Arrays of these, in the byte order of this machine, go to BokehJS as they are."""

_MOST_MICROSECONDS = 2**51
"""So that milliseconds in a float have room for each."""


def exact_values(document: Document, losses: Losses) -> Exact:
    """All values that their encoding does not give back; ``losses`` gets those that cannot be written."""
    found: Exact = {}
    for model in document.models:
        with_units = _with_units(model)
        for name, value in _set_values(model):
            if name in with_units or _is_written_out(model, name, value) or not _survives(value):
                record, failed = _record(value)
                found.setdefault(model.id, {})[name] = record
                for column, reason in failed.items():
                    losses.add(place_of(model, name, column), reason)
    return found


def cast(array: Any, dtype: np.dtype[Any]) -> Any:
    """The array of ``dtype`` whose encoding was ``array``."""
    if dtype.kind not in "mM":
        return array.astype(dtype)
    gaps = np.isnan(array)
    counts = np.where(gaps, 0, array * 1000).round().astype("int64")
    moments = counts.astype(f"{dtype.kind}8[us]")
    moments[gaps] = "NaT"
    return moments.astype(dtype)


def columns_of(record: Any) -> Mapping[str, Any]:
    """What stands beside the columns of a data source, by column."""
    match record:
        case ["columns", dict() as columns]:
            return columns
    return {}


def read_exactly(decode: Callable[[Any], Any], encoded: Any, record: Any) -> Any:
    """The value that clients got as ``encoded``, and beside which ``record`` stands (None: nothing)."""
    match record:
        case ["value", value]:
            return decode(value)
        case {"svc": "lost"}:
            return decode(record)
        case ["cast", dtype]:
            return cast(decode(encoded), np.dtype(dtype))
    return decode(encoded)


def shortened(model: Model, name: str, value: Any) -> Any:
    """What the app gave, of a specification beside which nothing stands: a number, or the name of a column.

    Pages get ``Value(3)`` of both 3 and itself (bokeh 3.9 and 3.10).
    """
    if not _is_written_out(model, name, value):
        return value
    units = getattr(model, f"{name}_units", Unspecified)
    has_own = value.units is not Unspecified and value.units != units
    return value if has_own else value.value if isinstance(value, Value) else value.field


def _is_written_out(model: Model, name: str, value: Any) -> bool:
    return (
        isinstance(value, Value | Field)
        and value.transform is Unspecified
        and isinstance(model.lookup(name), DataSpecPropertyDescriptor)
    )


def cast_of(value: Any) -> str | None:
    """The dtype with which :func:`cast` gives this value back to the last bit, if it does."""
    if type(value) is not np.ndarray or not value.shape or not value.dtype.isnative:
        return None
    match value.dtype.kind:
        case "i" | "u" if value.dtype.itemsize == 8:
            info = np.iinfo("int32" if value.dtype.kind == "i" else "uint32")
            fits = not value.size or (info.min <= value.min() and value.max() <= info.max)
            return value.dtype.str if fits else None
        case "m" | "M" as kind:
            return value.dtype.str if _in_microseconds(value, kind) else None
    return None


def _in_microseconds(value: np.ndarray[Any, Any], kind: str) -> bool:
    moments = value.astype(f"{kind}8[us]")
    gaps = np.isnat(moments)
    near = np.abs(np.where(gaps, 0, moments.view("i8"))) < _MOST_MICROSECONDS
    return bool(near.all()) and np.array_equal(moments.astype(value.dtype).view("i8"), value.view("i8"))


def _set_values(model: Model) -> Iterator[tuple[str, Any]]:
    # bokeh 3.9 and 3.10: what is set is in the first, what by default differs by instance in the second.
    yield from model._property_values.items()
    yield from model._unstable_default_values.items()


def _with_units(model: Model) -> set[str]:
    """Specifications whose encoding has units that are a property of their own (bokeh 3.9 and 3.10)."""
    names = model._property_values
    return {name.removesuffix("_units") for name in names if name.endswith("_units")}


def _record(value: Any) -> tuple[list[Any], dict[str, str]]:
    if not isinstance(value, PropertyValueColumnData):
        return _single(value)
    columns: dict[str, list[Any]] = {}
    losses: dict[str, str] = {}
    for name, column in value.items():
        if not _survives(column):
            columns[name], failed = _single(column)
            losses.update((name, why) for why in failed.values())
    return ["columns", columns], losses


def _single(value: Any) -> tuple[list[Any], dict[str, str]]:
    dtype = cast_of(value)
    if dtype is not None:
        return ["cast", dtype], {}
    encoded, losses = write_value(value)
    return ["value", encoded], losses


def _survives(value: Any) -> bool:
    """Whether Bokeh's encoding gives the value back with its type; false also where that is not sure."""
    kind = type(value)
    if kind in _SAME or isinstance(value, Model):
        return True
    if kind is int:
        return bool(-_SAFE < value <= _SAFE)
    if kind is np.ndarray:
        return bool(value.shape) and value.dtype.name in _BINARY and value.dtype.isnative
    if isinstance(value, list):
        return _all_survive(value)
    if isinstance(value, dict):
        return _all_survive(list(value)) and _all_survive(list(value.values()))
    if isinstance(value, Value):
        return _survives(value.value)
    return kind.__module__.startswith("bokeh.")  # which decodes its own classes


def _all_survive(items: list[Any]) -> bool:
    kinds = set(map(type, items))
    if kinds <= _SAME:
        return True
    if kinds == {int}:
        return bool(min(items) > -_SAFE and max(items) <= _SAFE)
    return all(map(_survives, items))
