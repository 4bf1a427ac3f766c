"""Arrays and single values of numpy as plain data and back, with all that their dtype says.

Records are maps with the keys ``dtype`` and ``shape`` that every release reads; what is in ``more`` of
them is new and skipped by releases that do not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.serialization import DeserializationError

__all__ = ("array_facts", "as_class", "dtype_of", "is_strings", "strings_dtype", "uniform")

_LISTED = 16
"""From so many numbers of numpy in a list on, they are written as one array."""


def is_strings(dtype: np.dtype[Any]) -> bool:
    """Whether this is numpy's StringDType, whose items are not in the array's own memory."""
    return dtype.kind == "T"


def strings_dtype(facts: Mapping[str, Any], missing: Any) -> Any:
    """The StringDType of ``facts``, where ``missing`` stands for what is missing if they say so."""
    options = {"na_object": missing} if facts["missing"] else {}
    return np.dtypes.StringDType(coerce=bool(facts["coerce"]), **options)


def array_facts(array: np.ndarray[Any, Any] | np.generic) -> dict[str, Any]:
    """What is needed besides the bytes. Raises ValueError for overlapping fields."""
    dtype = array.dtype
    facts: dict[str, Any] = {"dtype": dtype.str, "shape": list(array.shape)}
    if dtype.fields is not None:
        facts["fields"] = _plain(np.lib.format.dtype_to_descr(dtype))
    if isinstance(array, np.ndarray) and array.shape == ():
        facts["array"] = True  # a single value of numpy has this shape, too
    if _is_long(dtype):
        facts["mantissa"] = int(np.finfo(dtype).nmant)
    name = _CLASSES.get(type(array))
    return facts if name is None else {**facts, "class": name}


def dtype_of(facts: Mapping[str, Any]) -> np.dtype[Any]:
    """The dtype of :func:`array_facts`. Raises DeserializationError for one that is not of this machine."""
    fields = facts.get("fields")
    dtype = np.dtype(facts["dtype"]) if fields is None else np.lib.format.descr_to_dtype(_descr(fields))
    if "mantissa" in facts and facts["mantissa"] != np.finfo(dtype).nmant:
        raise DeserializationError(f"{dtype} is another type on this machine")
    return dtype


def as_class(array: np.ndarray[Any, Any], facts: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """As an instance of the subclass of ``ndarray`` that it was."""
    name = facts.get("class")
    found = [cls for cls, known in _CLASSES.items() if known == name]
    return array.view(found[0]) if found else array


def uniform(items: list[Any]) -> np.ndarray[Any, Any] | None:
    """A long list of single numbers of numpy, all of one dtype, as an array; None for every other list."""
    first = items[0] if len(items) >= _LISTED else None
    if not isinstance(first, np.generic) or first.dtype.kind not in "biufcmM":
        return None
    kind, dtype = type(first), first.dtype
    if any(type(item) is not kind or item.dtype != dtype for item in items):
        return None
    return np.array(items, dtype=dtype)


_CLASSES: dict[type, str] = {np.recarray: "recarray", np.matrix: "matrix"}


def _is_long(dtype: np.dtype[Any]) -> bool:
    """Whether the bytes mean something else on another machine (x86's 80 bits, ARM's 128)."""
    return (dtype.kind, dtype.itemsize) in (("f", 16), ("f", 12), ("c", 32), ("c", 24))


def _plain(descr: Any) -> Any:
    return [_plain(item) for item in descr] if isinstance(descr, list | tuple) else descr


def _descr(fields: Any) -> Any:
    """Fields as ``descr_to_dtype`` wants them: a list of tuples of name, type and maybe a shape."""
    return [_field(*field) for field in fields] if isinstance(fields, list) else fields


def _field(name: Any, kind: Any, shape: Any = None) -> tuple[Any, ...]:
    name = tuple(name) if isinstance(name, list) else name  # a title goes with it
    return (name, _descr(kind)) if shape is None else (name, _descr(kind), tuple(shape))
