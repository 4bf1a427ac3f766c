"""The admin page's smaller parts: the line of figures, the charts, and buttons that ask back."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

from bokeh.layouts import row
from bokeh.models import ColumnDataSource, DatetimeTickFormatter
from bokeh.models.widgets import Button, Div
from bokeh.plotting import figure

from service.fleet.view import FleetView, duration

__all__ = ("FULL_WIDTH", "Charts", "Confirmed", "heading", "notice", "tiles")

POINTS = 150
"""Of each chart."""

DISTANCE = 2.0
"""Seconds between two of them."""

FULL_WIDTH = ".bk-clearfix { width: 100%; }"
"""A style sheet for texts that have a background."""

INK, QUIET, LINES = "#0f172a", "#64748b", ("#2563eb", "#0f766e", "#c2410c")


# -- text ----------------------------------------------------------------------------------------


def heading(text: str) -> Div:
    return Div(text=f"<h2 style='font-size:16px;color:{INK};margin:14px 0 2px'>{text}</h2>")


def notice(text: str) -> str:
    """What became of what somebody did."""
    style = "background:#eff6ff;color:#1e3a8a;padding:7px 12px;border-radius:6px;font-size:13px"
    return f"<div style='{style}'>{html.escape(text)}</div>"


def tiles(view: FleetView | None, trouble: str) -> str:
    """The page's head: the fleet in figures, or why there are none."""
    figures = _figures(view) if view is not None else [("", "looking at the fleet ...")]
    cells = "".join(
        "<div style='padding-right:34px'>"
        f"<div style='font-size:22px;font-weight:600'>{html.escape(value)}</div>"
        f"<div style='font-size:12px;opacity:.75'>{html.escape(name)}</div></div>"
        for name, value in figures
    )
    head = (
        f"<div style='background:{INK};color:white;border-radius:8px;padding:12px 20px;display:flex;"
        f"align-items:center'><div style='font-size:18px;font-weight:600;padding-right:44px'>svc fleet</div>"
        f"{cells}</div>"
    )
    if view is not None:
        head += "".join(_maintenance(view))
    if not trouble:
        return head
    style = "background:#fef2f2;color:#991b1b;padding:7px 12px;border-radius:6px;margin-top:6px"
    return f"{head}<div style='{style}'>This may be out of date: {html.escape(trouble)}</div>"


def _maintenance(view: FleetView) -> Iterator[str]:
    style = "background:#fffbeb;color:#92400e;padding:7px 12px;border-radius:6px;margin-top:6px"
    for app, notice in view.maintenance.items():
        text = f"Maintenance of {app or 'all apps'} for {duration(view.at - notice.since)}: {notice.message}"
        yield f"<div style='{style}'>{html.escape(text)}</div>"


def _figures(view: FleetView) -> list[tuple[str, str]]:
    draining = sum(each.draining for each in view.replicas)
    versions = sorted({each.version for each in view.replicas})
    return [
        ("replicas", str(len(view.replicas)) + (f" ({draining} draining)" if draining else "")),
        ("sessions", f"{_sessions(view):,}"),
        ("connections", f"{_connections(view):,}"),
        ("worst lag", f"{_lag(view):.0f} ms"),
        ("version" if len(versions) == 1 else "versions", ", ".join(versions) or "-"),
    ]


def _sessions(view: FleetView) -> int:
    return sum(sum(each.sessions.values()) for each in view.replicas)


def _connections(view: FleetView) -> int:
    return sum(each.connections for each in view.replicas)


def _lag(view: FleetView) -> float:
    return max((each.lag * 1000 for each in view.replicas), default=0.0)


# -- charts --------------------------------------------------------------------------------------


class Charts:
    """The last five minutes of the whole fleet, as this page saw them."""

    def __init__(self) -> None:
        fields = ("at", "sessions", "connections", "lag")
        self._source = ColumnDataSource(data={field: [] for field in fields}, name="charts data")
        titles = (("sessions", "Sessions"), ("connections", "Connections"), ("lag", "Worst lag, ms"))
        plots = [self._plot(*each, line) for each, line in zip(titles, LINES, strict=True)]
        self.row = row(*plots, sizing_mode="stretch_width", spacing=12)

    def add(self, view: FleetView) -> None:
        """One more point, unless the last one is too near."""
        seen = self._source.data["at"]
        if len(seen) and view.at - float(seen[-1]) / 1000 < DISTANCE * 0.9:
            return
        point = {
            "at": [view.at * 1000],
            "sessions": [_sessions(view)],
            "connections": [_connections(view)],
            "lag": [round(_lag(view), 1)],
        }
        self._source.stream(point, rollover=POINTS)

    def _plot(self, field: str, title: str, colour: str) -> Any:
        plot: Any = figure(
            height=150, sizing_mode="stretch_width", title=title, x_axis_type="datetime",
            toolbar_location=None, tools="", name=f"{field} chart",
        )  # fmt: skip
        plot.varea("at", 0, field, source=self._source, color=colour, alpha=0.12)
        plot.line("at", field, source=self._source, color=colour, line_width=2)
        plot.y_range.start = 0
        plot.y_range.min_interval = 4
        plot.y_range.range_padding = 0.2
        plot.min_border_left, plot.min_border_right = 40, 30
        plot.xaxis.formatter = DatetimeTickFormatter(seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M")
        plot.xaxis.ticker.desired_num_ticks = 4
        plot.yaxis.ticker.desired_num_ticks = 3
        plot.grid.grid_line_alpha = 0.4
        plot.outline_line_color = None
        plot.title.text_color = INK
        plot.axis.axis_line_color = plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = None
        plot.axis.major_label_text_color = QUIET
        return plot


# -- buttons -------------------------------------------------------------------------------------


class Confirmed:
    """A button that does nothing before somebody has said yes to what it will do.

    ``target`` names what is selected, ``do`` is run with what was selected when it was asked. That is
    kept in the Document, so the question survives a move of the page's session.
    """

    def __init__(
        self, name: str, label: str, target: Callable[[], str], do: Callable[[str], Awaitable[None]]
    ) -> None:
        self._target = target
        self._do = do
        self._verb = label.partition(" ")[0]
        self._ask = Button(label=label, name=name, width=220)
        self._yes = Button(name=f"{name} yes", button_type="danger", width=220, visible=False)
        self._no = Button(label="No", name=f"{name} no", width=70, visible=False)
        self._ask.on_click(self._asked)
        self._yes.on_click(self._confirmed)
        self._no.on_click(self._refused)
        self.row = row(self._ask, self._yes, self._no)

    def _asked(self) -> None:
        self._question(self._target())

    def _refused(self) -> None:
        self._question("")

    def _question(self, target: str) -> None:
        self._yes.tags = [target]
        self._yes.label = f"{self._verb} {target}?" if target else "Yes"
        self._yes.visible = self._no.visible = bool(target)

    def _confirmed(self) -> None:
        target = str(self._yes.tags[0]) if self._yes.tags else ""
        self._question("")
        document, do = self._yes.document, cast(Any, partial(self._do, target))
        if target and document is not None:
            document.add_next_tick_callback(do)  # Bokeh awaits no event's callback
