"""What a look at a Document of the app `workout`, or of one of Panel's, shows: read from its JSON."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ("Seen", "ids_of", "look")


@dataclass(frozen=True)
class Seen:
    """The user's state, and all that has to agree with it."""

    slider: int
    clicks: int
    added: int
    """Models that clicks made, as they hang in the layout."""
    curve: tuple[float, ...]
    noise: tuple[float, ...]
    cell: int = 0
    """Of the table, as a user has edited it."""

    @property
    def contradiction(self) -> str | None:
        """How the Document contradicts itself; None when all of it belongs together."""
        if self.curve != tuple(float(x * self.slider) for x in range(20)):
            return f"the curve {self.curve[:3]}... is not that of slider {self.slider}"
        if self.added != self.clicks:
            return f"{self.clicks} clicks, but {self.added} models made by them"
        return None


def ids_of(document: Any) -> dict[str, str]:
    """Of the models that a user works with, by their names or titles; of a table, and of its cells."""
    found = {name: each["id"] for name, each in _named(document).items()}
    for table in _tables(document):
        found |= {"table": table["id"], "cells": table["attributes"]["source"]["id"]}
    return found


def look(document: Any, buffers: dict[str, bytes]) -> Seen:
    """Read a Document's JSON; `buffers` by id, for arrays that are not in it."""
    named = _named(document)
    tables = _tables(document)
    return _look_at_panel(named, tables[0], buffers) if tables else _look(named, buffers)


def _named(document: Any) -> dict[str, Any]:
    """Models by what Panel calls its widgets, or else their names. Templates name models for themselves."""
    known = ((_name(each["attributes"]), each) for each in _models(document))
    return {name: each for name, each in known if name}


def _name(attributes: Any) -> str | None:
    names = (attributes.get(each) for each in ("title", "label", "name"))
    return next((each for each in names if isinstance(each, str) and each), None)


def _tables(document: Any) -> list[Any]:
    return [each for each in _models(document) if each["name"] == "panel.models.tabulator.DataTabulator"]


def _look_at_panel(named: dict[str, Any], table: Any, buffers: dict[str, bytes]) -> Seen:
    values = {name: each["attributes"].get("value") for name, each in named.items()}
    return Seen(
        slider=int(values["slider"] or 0),
        clicks=int(values["count"]),
        added=len([name for name in named if name.startswith("added")]),
        curve=tuple(map(float, json.loads(values["curve"]))),
        noise=tuple(json.loads(values["noise"])),
        cell=int(_column(table["attributes"]["source"], "n", buffers)[0]),
    )


def _look(named: dict[str, Any], buffers: dict[str, bytes]) -> Seen:
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
