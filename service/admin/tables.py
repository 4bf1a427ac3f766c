"""The admin page's tables: their columns, and how the selected row stays selected.

All text is escaped by its formatter. Models are made per page, because their ids are the session's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, CustomJS
from bokeh.models.widgets import (
    CellFormatter,
    DataTable,
    HTMLTemplateFormatter,
    NumberFormatter,
    StringFormatter,
    TableColumn,
)

from service.fleet.view import AppView, FleetView, duration
from store.contract import Heartbeat, SessionRecord

__all__ = (
    "Table",
    "app_columns",
    "app_row",
    "replica_columns",
    "replica_row",
    "session_columns",
    "session_row",
    "slow_columns",
    "slow_rows",
)

Row = dict[str, str | int | float]

ROW_HEIGHT = 28

LINE_WIDTH, LINE_HEIGHT = 110, 20

_BADGE = (
    "<span style='padding:1px 9px;border-radius:9px;color:white;font-size:11px;background:"
    '<%= value == "serving" ? "#15803d" : "#c2410c" %>\'><%- value %></span>'
)
_LINE = (
    f"<svg width='{LINE_WIDTH}' height='{LINE_HEIGHT}' style='display:block;margin-top:3px'>"
    "<polyline fill='none' stroke='#2563eb' stroke-width='1.5' points='<%- value %>'/></svg>"
)
_DURATION = (
    '<% const two = (n) => String(Math.floor(n)).padStart(2, "0"), s = value %>'
    '<%- s < 60 ? Math.floor(s) + "s" : s < 3600 ? Math.floor(s / 60) + "m" + two(s % 60) + "s" '
    ': s < 86400 ? Math.floor(s / 3600) + "h" + two((s % 3600) / 60) + "m" '
    ': Math.floor(s / 86400) + "d" + two((s % 86400) / 3600) + "h" %>'
)


class Table:
    """A table whose first column names its rows, ``lines`` of them high."""

    def __init__(self, name: str, columns: list[TableColumn], *, lines: int) -> None:
        self._key = columns[0].field
        self._fields = [each.field for each in columns]
        self.source = ColumnDataSource(data={field: [] for field in self._fields}, name=f"{name} data")
        self.widget = DataTable(
            name=name, source=self.source, columns=columns, height=_height(lines), row_height=ROW_HEIGHT,
            index_position=None, selectable=True,
            reorderable=False, sizing_mode="stretch_width", autosize_mode="none",
        )  # fmt: skip

        # BokehJS 3.9 draws a table anew when its rows become more or fewer, not when only they change.
        redraw = CustomJS(args={"view": self.widget.view}, code="view.change.emit()")
        self.source.js_on_change("data", redraw)

    @property
    def selected(self) -> str:
        """The name of the selected row; empty when there is none."""
        names, indices = self.source.data[self._key], self.source.selected.indices
        return str(names[indices[0]]) if len(indices) == 1 and indices[0] < len(names) else ""

    def show(self, rows: Sequence[Row]) -> None:
        """These rows and no others; the selected one stays selected wherever it is now."""
        data: dict[str, list[Any]] = {field: [each[field] for each in rows] for field in self._fields}
        if data == dict(self.source.data):
            return
        selected = self.selected
        self.source.data = data
        indices = [at for at, name in enumerate(data[self._key]) if name == selected]
        if indices != list(self.source.selected.indices):
            self.source.selected.indices = indices


def replica_columns() -> list[TableColumn]:
    return [
        _column("replica", "Replica", 90, StringFormatter(font_style="bold")),
        _column("address", "Address", 210),
        _column("version", "Version", 70),
        _column("up", "Up", 80, HTMLTemplateFormatter(template=_DURATION)),
        _column("beat", "Beat, s ago", 80, _number("0.0")),
        _column("sessions", "Sessions", 75, _number("0,0")),
        _column("line", "in the last minute", LINE_WIDTH + 20, HTMLTemplateFormatter(template=_LINE)),
        _column("apps", "By app", 140),
        _column("connections", "Connections", 90, _number("0,0")),
        _column("load", "Load, %", 70, _number("0,0")),
        _column("queued", "Queue", 60, _number("0,0")),
        _column("lag", "Lag, ms", 70, _number("0,0")),
        _column("memory", "Memory, MB", 85, _number("0,0")),
        _column("state", "State", 120, HTMLTemplateFormatter(template=_BADGE)),
    ]


def replica_row(beat: Heartbeat, now: float, lines: Mapping[str, Sequence[int]]) -> Row:
    held = [f"{app} {count}" for app, count in sorted(beat.sessions.items()) if count]
    return {
        "replica": beat.replica,
        "address": beat.address,
        "version": beat.version,
        "up": max(0, round(now - beat.started)),
        "beat": round(beat.age, 1),
        "sessions": sum(beat.sessions.values()),
        "line": _points(lines.get(beat.replica, ())),
        "apps": ", ".join(held),
        "connections": beat.connections,
        "load": round(beat.load * 100),
        "queued": beat.queued,
        "lag": round(beat.lag * 1000),
        "memory": round(beat.memory / 1e6),
        "state": "draining" if beat.draining else "serving",
    }


def app_columns() -> list[TableColumn]:
    return [
        _column("app", "App", 240, StringFormatter(font_style="bold")),
        _column("replicas", "Replicas", 80, _number("0,0")),
        _column("live", "Live", 80, _number("0,0")),
        _column("asleep", "Asleep", 80, _number("0,0")),
        _column("errors", "Errors since start", 130, _number("0,0")),
    ]


def app_row(app: AppView) -> Row:
    return {
        "app": app.path,
        "replicas": app.replicas,
        "live": app.live,
        "asleep": app.asleep,
        "errors": app.errors,
    }


def session_columns() -> list[TableColumn]:
    return [
        _column("session", "Session", 100, StringFormatter(font_style="bold")),
        _column("app", "App", 240),
        _column("replica", "Replica", 100),
        _column("age", "Age", 90, HTMLTemplateFormatter(template=_DURATION)),
        _column("building", "Building for", 100),
        _column("user", "User", 320),
        _column("from", "Came from", 300),
    ]


def session_row(record: SessionRecord, view: FleetView) -> Row:
    building = view.building_for(record)
    return {
        "session": record.key.short,
        "app": record.key.app,
        "replica": record.owner,
        "age": max(0, round(view.at - record.created)),
        "building": "" if building is None else duration(building),
        "user": record.request.user or "",
        "from": record.request.remote_ip,
    }


def slow_columns() -> list[TableColumn]:
    return [
        _column("place", "What", 520),
        _column("seconds", "Took, s", 80, _number("0.0")),
        _column("state", "", 80),
        _column("ago", "Ago", 80, HTMLTemplateFormatter(template=_DURATION)),
        _column("app", "App", 150),
        _column("session", "Session", 100),
        _column("replica", "Replica", 100),
    ]


def slow_rows(replicas: Sequence[Heartbeat], now: float) -> list[Row]:
    """Of all of them, newest first."""
    found = [(each, beat.replica) for beat in replicas for each in beat.slow]
    return [
        {
            "place": each["place"],
            "seconds": round(each["seconds"], 1),
            "state": "still runs" if each["running"] else "",
            "ago": max(0, round(now - each["at"])),
            "app": each["app"],
            "session": each["session"],
            "replica": replica,
        }
        for each, replica in sorted(found, key=lambda one: one[0]["at"], reverse=True)
    ]


def _column(field: str, title: str, width: int, formatter: CellFormatter | None = None) -> TableColumn:
    return TableColumn(field=field, title=title, width=width, formatter=formatter or StringFormatter())


def _number(form: str) -> NumberFormatter:
    return NumberFormatter(format=form, text_align="right")


def _height(rows: int) -> int:
    """Pixels, with the head and a line below."""
    return ROW_HEIGHT * (rows + 1) + 6


def _points(counts: Sequence[int]) -> str:
    """An SVG polyline's points: newest at the right, zero at the bottom."""
    top, step = max(*counts, 1, 1), LINE_WIDTH / max(len(counts) - 1, 1)
    height = LINE_HEIGHT - 4
    return " ".join(
        f"{at * step:.0f},{2 + height - height * count / top:.1f}" for at, count in enumerate(counts)
    )
