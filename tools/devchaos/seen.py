"""What one look at a Document of the app `workout` shows, read from the JSON that a browser gets."""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ("Seen", "look")


@dataclass(frozen=True)
class Seen:
    """The user's state, and all that has to agree with it."""

    slider: int
    clicks: int
    added: int
    """Models that clicks made, as they hang in the layout."""
    curve: tuple[float, ...]
    noise: tuple[float, ...]

    @property
    def contradiction(self) -> str | None:
        """How the Document contradicts itself; None when all of it belongs together."""
        if self.curve != tuple(float(x * self.slider) for x in range(20)):
            return f"the curve {self.curve[:3]}... is not that of slider {self.slider}"
        if self.added != self.clicks:
            return f"{self.clicks} clicks, but {self.added} models made by them"
        return None


def look(document: Any, buffers: dict[str, bytes]) -> Seen:
    """Read a Document's JSON; `buffers` by id, for arrays that are not in it."""
    named = {each["attributes"]["name"]: each for each in _models(document) if each["attributes"].get("name")}
    return Seen(
        slider=int(named["slider"]["attributes"].get("value", 0)),
        clicks=int(named["count"]["attributes"].get("text", "0")),
        added=len([name for name in named if name.startswith("added")]),
        curve=_column(named["curve"], "y", buffers),
        noise=_column(named["noise"], "y", buffers),
    )


def _models(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("type") == "object" and "attributes" in value:
            yield value
        for child in value.values():
            yield from _models(child)
    elif isinstance(value, list):
        for child in value:
            yield from _models(child)


def _column(source: Any, name: str, buffers: dict[str, bytes]) -> tuple[float, ...]:
    data = source["attributes"]["data"]
    entries = dict(data["entries"]) if data.get("type") == "map" else data
    column = entries[name]
    if isinstance(column, list):
        return tuple(map(float, column))
    raw = _raw(column["array"], buffers)
    if isinstance(raw, list):
        return tuple(map(float, raw))
    code = {"float64": "d", "int64": "q", "int32": "i", "float32": "f"}[column["dtype"]]
    return tuple(float(each) for each in struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw))


def _raw(array: Any, buffers: dict[str, bytes]) -> Any:
    """The bytes of an array, inline or in a buffer of its own; or its list."""
    if not isinstance(array, dict):
        return array
    data = array["data"]
    return gzip.decompress(base64.b64decode(data)) if isinstance(data, str) else buffers[data["id"]]
