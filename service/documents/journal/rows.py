"""What is streamed into columns, or patched in them: written as it came, until whole columns cost less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import ColumnsPatchedEvent, ColumnsStreamedEvent
from bokeh.model import Model

from service.documents.journal.changes import Changes
from service.documents.journal.marks import Marks
from service.documents.journal.writing import ValueWriter
from store.errors import RecordError
from store.records import Packed, pack_entry

__all__ = ("Rows", "RowsEvent")

CHUNKS_ALLOWANCE = 64 * 1024
"""Bytes of streamed chunks kept at least, before whole columns are written in their place."""

RowsEvent = ColumnsStreamedEvent | ColumnsPatchedEvent


class Rows:
    """The rows of one Document's data sources. ``sizes`` are those of all fields in the store, by name."""

    def __init__(
        self, document: Document, marks: Marks, writer: ValueWriter, sizes: Mapping[str, int]
    ) -> None:
        self._document = document
        self._marks = marks
        self._dirty, self._chunks, self._shown = marks.due, marks.chunks, marks.shown
        self._encoded = writer.encoded
        self._sizes = sizes
        self._chunk_bytes: dict[str, int] = {}
        """Of what the store has, by model id."""
        self._chunk_count = 0
        self._held_but_written: list[RowsEvent] = []
        """Of rows that the app holds back (``Document.hold``), those that were written with whole columns."""

    def note(self, event: RowsEvent, columns: Any, chunk: list[Any]) -> None:
        """Rows came for ``columns``; ``chunk`` says how, and is given them."""
        model = event.model
        self._shown.pop((model.id, "data"), None)
        if any(event is each for each in self._held_but_written):
            return
        if (model.id, "data") not in self._dirty:  # else the whole columns are due anyway
            chunk[1] = self._encoded(model, "data", {name: columns[name] for name in columns})
            self._chunks.setdefault(model.id, []).append(chunk)

    def written(self, model: Model | None = None) -> None:
        """Whole columns are read, of all models or this one: the rows are in them that the app holds back."""
        known = self._held_but_written
        self._held_but_written = [
            event
            for event in self._document.callbacks._held_events  # bokeh 3.9 and 3.10
            if isinstance(event, ColumnsStreamedEvent | ColumnsPatchedEvent)
            and (model in (None, event.model) or any(event is each for each in known))
        ]

    def all_columns(self) -> None:
        """Whole columns are due where there are rows: to replay those over a new base would double them."""
        for model_id in self._chunks.keys() | self._chunk_bytes.keys():
            self._columns_due(model_id)
        self._chunks.clear()

    def drop(self, changes: Changes, model_id: str) -> None:
        """Whole columns are written, or the model is: what the store has of rows is in them."""
        if self._chunk_bytes.pop(model_id, 0):
            changes.remove.update(name for name in self._sizes if name.startswith(f"c:{model_id}:"))

    def begin_anew(self) -> None:
        """All is written whole."""
        self._chunks.clear()
        self._chunk_bytes.clear()

    def resume(self, sizes: Mapping[str, int]) -> None:
        """Go on with the rows that are in the store."""
        for name, size in sizes.items():
            kind, model_id, number = [*name.split(":"), "", ""][:3]
            if kind == "c":
                self._chunk_count = max(self._chunk_count, int(number))
                self._chunk_bytes[model_id] = self._chunk_bytes.get(model_id, 0) + size

    def take(self, changes: Changes) -> None:
        for model_id, chunks in self._chunks.items():
            packed = self._packed(chunks)
            if packed is None:
                self._columns_due(model_id)
                continue
            size = self._chunk_bytes.get(model_id, 0) + len(packed)
            if size > CHUNKS_ALLOWANCE and size > self._columns_bytes(model_id):
                self._columns_due(model_id)
                continue
            self._chunk_count += 1
            changes.put[f"c:{model_id}:{self._chunk_count:012}"] = packed
            self._chunk_bytes[model_id] = size
        self._chunks.clear()

    def _packed(self, chunks: list[Any]) -> Packed | None:
        """None when something in them cannot be stored: that is found out by column, of whole columns."""
        try:
            return pack_entry(chunks)
        except RecordError:
            return None

    def _columns_bytes(self, model_id: str) -> int:
        """About what whole columns would take: chunks may cost as much before those are written."""
        source: Any = self._document.models.get_by_id(ID(model_id))
        columns = () if source is None else source.data.values()
        return sum(getattr(column, "nbytes", 9 * len(column)) for column in columns)

    def _columns_due(self, model_id: str) -> None:
        """Write whole columns where chunks have become more than those."""
        self._marks.set_past_setters(model_id, ("data",))
