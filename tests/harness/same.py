"""Whether a value is what another was: equal, of the same type, to the last bit, with NaN equal to NaN."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

__all__ = ("same",)


def same(one: Any, other: Any) -> bool:
    """Equal values of equal types, with NaN equal to NaN."""
    if type(one) is not type(other):
        return False
    if one is np.ma.masked or other is np.ma.masked:
        return one is other
    if isinstance(one, np.ndarray | np.generic):
        return _same_of_numpy(one, other)
    if isinstance(one, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return _same_of_pandas(one, other)
    match one:
        case pl.Series():
            return (one.dtype, one.name) == (other.dtype, other.name) and same(one.to_list(), other.to_list())
        case pa.Array() | pa.ChunkedArray():
            return bool(one.type == other.type) and same(one.to_pylist(), other.to_pylist())
        case dict():
            return len(one) == len(other) and all(map(same, one.items(), other.items()))
        case set() | frozenset():
            return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case float() | complex():
            return _struct_of(one) == _struct_of(other)
        case Decimal():
            return bool(one.as_tuple() == other.as_tuple())  # a signalling NaN cannot be compared
    if one is pd.NaT or one is pd.NA:
        return one is other
    return (bool(one == other) or bool(one != one and other != other)) and _zone(one) == _zone(other)


def _zone(value: Any) -> Any:
    return repr(getattr(value, "tzinfo", None)), getattr(value, "fold", 0), getattr(value, "unit", None)


def _struct_of(number: complex) -> tuple[Any, ...]:
    """NaN equals NaN, and 0.0 is not -0.0."""
    parts = (number.real, number.imag)
    return tuple((repr(part), math.copysign(1, part)) for part in parts)


def _same_fill(one: Any, other: Any) -> bool:
    """Of views, as reading it sets it; after that numpy (2.4, 2.5) has it in another type."""
    first, second = one.view().fill_value, other.view().fill_value
    return same(first, second) or bool(one.dtype.type(first) == other.dtype.type(second))


def _same_of_numpy(one: Any, other: Any) -> bool:
    if one.shape != other.shape or not _same_dtype(one.dtype, other.dtype):
        return False
    if isinstance(one, np.ma.MaskedArray):
        masks = np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        return masks and _same_fill(one, other) and same(one.data, other.data)
    if one.dtype.hasobject:
        return same(one.ravel().tolist(), other.ravel().tolist())
    if one.dtype.kind == "g" or (one.dtype.itemsize in (16, 32) and one.dtype.kind in "fc"):
        return bool(np.array_equal(one, other, equal_nan=True))  # the padding of long doubles is anything
    return bool(one.tobytes() == other.tobytes())


def _same_dtype(one: Any, other: Any) -> bool:
    if one.kind != "T":
        return bool(one == other)
    return (one.coerce, repr(getattr(one, "na_object", "-"))) == (
        other.coerce,
        repr(getattr(other, "na_object", "-")),
    )


def _same_of_pandas(one: Any, other: Any) -> bool:
    if repr(one.dtype) != repr(other.dtype):
        return False
    match one:
        case pd.Series():
            pd.testing.assert_series_equal(one, other, check_exact=True, check_index_type=True)
            return type(one.array) is type(other.array) and same(one.name, other.name)
        case pd.Index():
            pd.testing.assert_index_equal(one, other, exact=True)
            return same(list(one.names), list(other.names)) and _frequency(one) == _frequency(other)
    pd.testing.assert_extension_array_equal(one, other, check_exact=True)
    return True


def _frequency(index: Any) -> Any:
    return getattr(index, "freqstr", None)
