"""Frames behind Panel's tables (``Tabulator``, ``DataFrame``; panel 1.9 and 1.10): what users edited in them.

A table's model shows its frame filtered, and with remote pagination one page of it, so the model cannot tell
what the frame was. Cells that users edited are kept by their place in the frame; which row of the frame a row
of the model is depends on page, order and filters, so that is looked up when the edit comes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, TypeAlias

import numpy as np

from service.apps.when_imported import imported
from service.documents.values import ValueReader, write_value

__all__ = (
    "Cells",
    "cells_of",
    "edited_cells",
    "is_table",
    "read_table",
    "replay_edits",
    "restore_table",
    "table_of",
)

log = logging.getLogger(__name__)

Cells: TypeAlias = dict[tuple[int, str], None]
"""Rows of the frame and fields of the model, in the order of the last edit of each."""

_TABLES = "panel.widgets.tables"
_MODELS = "panel.models.tabulator"


def is_table(viewable: Any) -> bool:
    module = imported(_TABLES)
    return module is not None and isinstance(viewable, module.BaseTable) and viewable.value is not None


def table_of(source: Any) -> Any:
    """The table that shows this data source: it listens to the data. None if there is none."""
    for callback in source._callbacks.get("data", ()):
        owner = getattr(getattr(callback, "func", None), "__self__", None)
        if is_table(owner):
            return owner
    return None


# -- noting ------------------------------------------------------------------------------------


def edited_cells(table: Any, patches: Mapping[str, Iterable[Any]]) -> Cells:
    """The cells of the frame that these patches of its data source are for."""
    start = _page(table).start
    cells: Cells = {}
    for field, changes in patches.items():
        for index, _ in changes:
            row = _row_of(table, start + index) if isinstance(index, int) else None
            if row is not None:
                cells[row, field] = None
    return cells


def _page(table: Any) -> slice:
    if getattr(table, "pagination", None) != "remote":
        return slice(0, None)
    rows = table.page_size or table.initial_page_size
    start = (table.page - 1) * rows
    return slice(start, start + rows)


def _row_of(table: Any, shown: int) -> int | None:
    if not 0 <= shown < len(table._processed):
        return None
    return _place(table, table._processed.index[shown])


def _place(table: Any, label: Any) -> int | None:
    """None where Panel, too, would not know which row is meant."""
    try:
        row = table.value.index.get_loc(label)
    except (KeyError, TypeError):
        return None
    return row if isinstance(row, int) else None


# -- keeping -----------------------------------------------------------------------------------


def read_table(table: Any, cells: Cells) -> dict[str, Any]:
    """What is to be kept of the frame: values of the cells as they are now."""
    rows: dict[str, list[int]] = {}
    for row, field in cells:
        if row < len(table.value) and _column(table, field) is not None:
            rows.setdefault(field, []).append(row)
    columns = [[field, rows[field], write_value(_values(table, field, rows[field]))[0]] for field in rows]
    kept: dict[str, Any] = {"cells": columns} if columns else {}
    places = [_place(table, label) for label in getattr(table, "_edited_indexes", ())]
    if places:
        kept["despite_filters"] = [place for place in places if place is not None]
    if table.selection:
        kept["selection"] = [int(each) for each in table.selection]
    return kept


def _values(table: Any, field: str, rows: list[int]) -> Any:
    """With their dtype, which an edit may have changed, and without their index."""
    column: Any = _column(table, field)
    return table.value.iloc[rows, column].reset_index(drop=True)


def _column(table: Any, field: str) -> int | None:
    found = table.value.columns
    name = table._renamed_cols.get(field, field)
    place = found.get_loc(name) if name in found else None
    return place if isinstance(place, int) else None


def cells_of(kept: Mapping[str, Any]) -> Cells:
    return {(row, field): None for field, rows, _ in kept.get("cells", ()) for row in rows}


# -- restoring ---------------------------------------------------------------------------------


def replay_edits(table: Any, model: Any, kept: Mapping[str, Any], execute: Callable[..., Any]) -> None:
    """Edit the cells again: who listens to edits and to the frame hears of it. Others come before."""
    events = _edit(table, model, kept)
    if not events:
        return
    _show_frame(table, model)
    for event in events:
        for callback in getattr(table, "_on_edit_callbacks", ()):
            execute(callback, event)
    table._updating = True  # as Panel itself tells of edits: the page has them already
    try:
        table.param.trigger("value")
    finally:
        table._updating = False


def restore_table(table: Any, model: Any, kept: Mapping[str, Any]) -> None:
    """After the overlay: the frame agrees with what the model shows, whatever callbacks made of it."""
    from param.parameterized import discard_events

    _edit(table, model, kept)
    if hasattr(table, "_edited_indexes"):
        index = table.value.index
        table._edited_indexes = [index[row] for row in kept.get("despite_filters", ()) if row < len(index)]
    with discard_events(table):
        _take_shown(table, model.source.data)
        if "selection" in kept:
            table.selection = [row for row in kept["selection"] if row < len(table.value)]
    _show_frame(table, model)


def _edit(table: Any, model: Any, kept: Mapping[str, Any]) -> list[Any]:
    """Set the cells; the events for those that were others."""
    events = []
    for field, rows, encoded in kept.get("cells", ()):
        column = _column(table, field)
        if column is None:
            continue
        values = ValueReader(()).decode(encoded)
        try:
            events += _edit_column(
                table, model, field, column, dict(zip(rows, values, strict=True)), values.dtype
            )
        except (TypeError, ValueError) as error:  # the app's frame is another one by now
            log.warning("a table does not take back edits of %s: %s", field, error)
    return events


def _edit_column(
    table: Any, model: Any, field: str, column: int, values: Mapping[int, Any], dtype: Any
) -> list[Any]:
    frame = table.value
    events = []
    if frame.dtypes.iloc[column] != dtype:
        frame.isetitem(column, frame.iloc[:, column].astype(dtype))
    for row, value in values.items():
        old = frame.iat[row, column] if row < len(frame) else value
        if not _same(old, value, exactly=dtype.kind == "O"):
            frame.iat[row, column] = value
            events.append(_event(model, field, row, value, old))
    return events


def _same(one: Any, other: Any, *, exactly: bool) -> bool:
    """``exactly``: of the same type, as in columns of objects. Other columns have one type for all cells."""
    if exactly and type(one) is not type(other):
        return False
    try:
        return one is other or bool(one == other) or bool(one != one and other != other)
    except (TypeError, ValueError):
        return False


def _event(model: Any, field: str, row: int, value: Any, old: Any) -> Any:
    event_class: Any = sys.modules[_MODELS].TableEditEvent
    first = {"pre": False} if "pre" in signature(event_class).parameters else {}  # panel 1.9
    return event_class(model, field, row, value=value, old=old, **first)


def _take_shown(table: Any, shown: Mapping[str, Any]) -> None:
    """What the app streamed or changed: without filters and pages the model has all that the frame had."""
    frame = table.value
    names = [each for each in frame.columns if isinstance(each, str) and each in shown]
    if _page(table).stop is not None or table._filters or not names or len(names) < len(frame.columns):
        return
    try:
        if len(shown[names[0]]) != len(frame):
            table.value = _frame_of(table, shown)
        else:
            _, present = table._get_data()
            for name in names:
                if not _equal(present[name], shown[name]):
                    frame[name] = _column_of(table, shown, name)
    except (TypeError, ValueError) as error:
        log.warning("cannot restore the rows of a table: %s", error)


def _equal(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    floats = one.dtype.kind in "fcmM" and other.dtype.kind in "fcmM"
    return bool(np.array_equal(one, other, equal_nan=floats))


def _frame_of(table: Any, shown: Mapping[str, Any]) -> Any:
    pd: Any = sys.modules["pandas"]

    frame = table.value
    columns = {name: _column_of(table, shown, name) for name in frame.columns}
    labels = shown.get(frame.index.name or "index")
    index = None if labels is None else pd.Index(np.asarray(labels), name=frame.index.name)
    return pd.DataFrame(columns).set_axis(index) if index is not None else pd.DataFrame(columns)


def _column_of(table: Any, shown: Mapping[str, Any], name: str) -> Any:
    pd: Any = sys.modules["pandas"]

    old = table.value[name]
    return pd.Series(table._convert_column(np.asarray(shown[name]), old), dtype=old.dtype).array


def _show_frame(table: Any, model: Any) -> None:
    """What the table keeps of what it shows, without telling the model, which is right already."""
    table._processed, table._data = table._get_data()
    if _page(table).stop is not None:
        _keep_page(table, model.source.data)
    table._update_index_mapping()


def _keep_page(table: Any, shown: Mapping[str, Any]) -> None:
    """The page has the rows it had, in their order: only when it is left do edits sort and filter it anew."""
    processed = table._processed
    labels = shown.get(processed.index.name or "index")
    if labels is None:
        return
    rows = [place for place in processed.index.get_indexer_for(list(labels)) if place >= 0]
    others = [place for place in range(len(processed)) if place not in set(rows)]
    start = min(_page(table).start, len(others))
    order = [*others[:start], *rows, *others[start:]]
    if order != list(range(len(processed))):
        table._processed = processed.iloc[order]
