"""Values that could not be written or read back: each costs itself, or its column, and is named once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from bokeh.core.serialization import DeserializationError, UnknownReferenceError
from bokeh.model import Model

from service.documents.value_errors import value_errors
from service.documents.values import reason_of

__all__ = ("Losses", "columns_or_gaps", "place_of", "reading")

Read = Callable[[], Any]


class Losses:
    """What was lost of one Document, in words for the log."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._new: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._told)

    def add(self, place: str, reason: str) -> None:
        """A value was lost. One that is written again and again counts once."""
        if place not in self._told:
            self._told.add(place)
            self._new.append(f"{place}: {reason}")

    def take(self) -> list[str]:
        """What was added since the last time."""
        new, self._new = self._new, []
        return new


def place_of(model: Model, attr: str, column: str = "") -> str:
    """Where a value is, as the app's author knows it."""
    name = f"{type(model).__name__} {model.name or model.id}"
    return f"{attr}[{column!r:.80}] of {name}" if column else f"{attr} of {name}"


def reading(read: Read) -> Any:
    """What ``read`` gives. Raises DeserializationError, or UnknownReferenceError, whatever goes wrong."""
    try:
        return read()
    except DeserializationError:
        raise
    except value_errors() as error:
        raise DeserializationError(reason_of(error)) from error


def columns_or_gaps(columns: Iterable[tuple[str, Read]], lost: Callable[[str, str], None]) -> dict[str, Any]:
    """Columns by name, with NaN in the place of those that cannot be read; ``lost`` is told name and reason.

    A column of another run beside these would be a lie, and a missing one would take its glyphs along.
    """
    found: dict[str, Any] = {}
    gaps: list[str] = []
    for name, read in columns:
        found[name] = None
        try:
            found[name] = reading(read)
        except UnknownReferenceError:
            raise
        except DeserializationError as error:
            gaps.append(name)
            lost(name, str(error))
    rows = max((_rows(column) for name, column in found.items() if name not in gaps), default=0)
    return found | {name: [math.nan] * rows for name in gaps}


def _rows(column: Any) -> int:
    return len(column) if hasattr(column, "__len__") else 0
