"""Single values of Python's standard library as plain data and back.

Nothing here runs code that the record names: classes of enumerations are looked up among the modules
that are loaded already, and only enumerations are taken.
"""

from __future__ import annotations

import array
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bokeh.core.serialization import DeserializationError

__all__ = ("SINGLE", "enum_facts", "enum_of", "read_single", "read_zone", "single_facts", "zone_facts")


def single_facts(value: Any) -> dict[str, Any] | None:
    """What is to be written of a value whose type is exactly one of :data:`SINGLE`."""
    kind = type(value)
    if kind in _ISO:
        return {"value": value.isoformat(), **_time_zone(value)}
    return {"value": SINGLE[kind][1](value)}


def read_single(name: str, value: Any, facts: Mapping[str, Any]) -> Any:
    """Raises ValueError or TypeError for what is damaged, KeyError for a zone that is not known here."""
    made = _READERS[name](value)
    if "zone" not in facts:
        return made
    return made.replace(tzinfo=read_zone(facts["zone"]), fold=facts.get("fold", 0))


def zone_facts(zone: dt.tzinfo | None) -> Any:
    """A zone by name, or its offset in seconds; None where it is neither (or there is none)."""
    if isinstance(zone, ZoneInfo):
        return zone.key
    if isinstance(zone, dt.timezone):
        return [zone.utcoffset(None).total_seconds(), zone.tzname(None)]
    return None


def read_zone(facts: Any) -> dt.tzinfo | None:
    """The zone of :func:`zone_facts`. Raises KeyError when its name is not known here."""
    if isinstance(facts, str):
        return ZoneInfo(facts)
    if facts is None:
        return None
    offset, name = dt.timedelta(seconds=facts[0]), facts[1]
    unnamed = dt.timezone(offset)
    return unnamed if unnamed.tzname(None) == name else dt.timezone(offset, name)


def _time_zone(value: Any) -> dict[str, Any]:
    """ISO text has the offset only, which is a zone of its own kind."""
    zone = getattr(value, "tzinfo", None)
    fold = {"fold": 1} if getattr(value, "fold", 0) else {}
    return {"zone": zone_facts(zone), **fold} if fold or _has_name(zone) else {}


def _has_name(zone: dt.tzinfo | None) -> bool:
    if isinstance(zone, dt.timezone):
        return zone.tzname(None) != dt.timezone(zone.utcoffset(None)).tzname(None)
    return isinstance(zone, ZoneInfo) and zone.key is not None


def enum_facts(member: Enum) -> list[str]:
    """Where the member's class is; its value is written besides."""
    return [type(member).__module__, type(member).__qualname__]


def enum_of(where: list[str], value: Any, modules: Iterable[ModuleType]) -> Enum:
    """The member of that value. ``modules`` are those of the app's own run, whose names differ by run.

    Raises DeserializationError when there is no such enumeration in any loaded module.
    """
    module, name = where
    for each in (sys.modules.get(module), *modules):
        found = _attribute(each, name)
        if isinstance(found, type) and issubclass(found, Enum):
            member: Enum = found(value)
            return member
    raise DeserializationError(f"there is no enumeration {module}.{name}")


def _attribute(module: ModuleType | None, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = vars(found).get(part) if isinstance(found, ModuleType | type) else None
    return found


def _array(value: Any) -> array.array[Any]:
    return array.array(value[0], value[1])


_ISO = (dt.datetime, dt.date, dt.time)
"""Exactly these types: pandas' timestamps are subclasses."""

SINGLE: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.date: ("date", dt.date.isoformat),
    dt.time: ("time", dt.time.isoformat),
    dt.timedelta: ("timedelta", lambda delta: [delta.days, delta.seconds, delta.microseconds]),
    Decimal: ("Decimal", str),
    Fraction: ("Fraction", str),
    UUID: ("UUID", str),
    complex: ("complex", lambda number: [number.real, number.imag]),
    range: ("range", lambda numbers: [str(each) for each in (numbers.start, numbers.stop, numbers.step)]),
    bytearray: ("bytearray", bytes),
    array.array: ("typed", lambda items: [items.typecode, items.tobytes()]),
}
"""The kind in the record, and what makes plain data of the value."""

_READERS: Mapping[str, Callable[[Any], Any]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "UUID": UUID,
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: range(*map(int, parts)),
    "bytearray": bytearray,
    "typed": _array,
}
