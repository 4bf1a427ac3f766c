"""Pairs of values that are equal and yet not the same: of other types, in another order, of another sign."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from harness.kinds import BERLIN, Level

__all__ = ("lookalikes", "numbers_alike")

Pairs = st.SearchStrategy[tuple[Any, Any]]


class Switch(enum.IntEnum):
    """Numbers to Bokeh."""

    OFF = 0
    ON = 1


ZEROS = [0, 0.0, -0.0, False, np.int64(0), np.uint8(0), np.float64(-0.0), np.float32(0), np.bool_(False),
         Switch.OFF, Decimal(0), Decimal("-0.0"), Fraction(0), 0j, np.complex64(0)]  # fmt: skip
ONES = [1, 1.0, True, np.int64(1), np.int8(1), np.float64(1), np.float16(1), np.bool_(True), Switch.ON,
        Decimal(1), Decimal("1.00"), Fraction(1), 1 + 0j]  # fmt: skip
LARGE = [2**53, 2.0**53, np.int64(2**53), np.uint64(2**53)]
TEXTS = ["low", Level.LOW, np.str_("low")]
BYTES = [b"ab", bytearray(b"ab"), np.bytes_(b"ab")]
NOON = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MOMENTS = [NOON, NOON.astimezone(BERLIN), NOON.astimezone(dt.timezone(dt.timedelta(hours=2)))]
CLOCKS = [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, fold=1), pd.Timestamp("2026-01-01").as_unit("s"),
          pd.Timestamp("2026-01-01").as_unit("ns"), np.datetime64("2026-01-01", "D"),
          np.datetime64("2026-01-01", "us"), dt.date(2026, 1, 1)]  # fmt: skip
SPANS = [dt.timedelta(days=1), pd.Timedelta(days=1).as_unit("s"), np.timedelta64(1, "D"),
         np.timedelta64(24, "h")]  # fmt: skip
SETS = [{1, 2}, {1.0, 2}, {True, 2}, frozenset({1, 2})]
ARRAYS = [np.array([0, 1]), np.array([0.0, 1]), np.array([-0.0, 1]), np.array([False, True]),
          np.array([0, 1], dtype=object), np.array([0, True], dtype=object), np.array([0, 1], dtype="f4"),
          np.array([0, 1], dtype=">i8"), np.ma.array([0, 1]), [0, 1], (0, 1), range(2)]  # fmt: skip

GROUPS: list[list[Any]] = [ZEROS, ONES, LARGE, TEXTS, BYTES, MOMENTS, CLOCKS, SPANS, SETS, ARRAYS]


def two_of(group: list[Any]) -> Pairs:
    return st.tuples(st.sampled_from(group), st.sampled_from(group))


numbers_alike: Pairs = st.one_of(
    *(two_of([each for each in group if type(each) in (int, float)]) for group in (ZEROS, ONES, LARGE))
)
"""Plain ones, which any numeric property takes."""


def lookalikes() -> Pairs:
    """Within lists, tuples and dicts, too."""
    pairs: list[Pairs] = [two_of(group) for group in GROUPS]
    return st.recursive(st.one_of(pairs), containers, max_leaves=6)


def containers(inner: Pairs) -> Pairs:
    several = st.lists(inner, min_size=1, max_size=3)
    kinds = st.sampled_from([list, tuple])
    keys = st.one_of(two_of(TEXTS), numbers_alike)
    return st.one_of(
        several.map(lambda pairs: ([one for one, _ in pairs], [other for _, other in pairs])),
        st.builds(
            lambda pairs, this, that: (this(one for one, _ in pairs), that(other for _, other in pairs)),
            several, kinds, kinds,
        ),
        st.builds(_two_maps, st.lists(st.tuples(keys, inner), min_size=1, max_size=3), st.booleans()),
    )  # fmt: skip


def _two_maps(entries: list[Any], turned: bool) -> tuple[Any, Any]:
    first = {one: value for (one, _), (value, _) in entries}
    later = {other: value for (_, other), (_, value) in (reversed(entries) if turned else entries)}
    return first, later
