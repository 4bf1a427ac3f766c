"""The admin page as a Bokeh Document: what it shows, and what can be done with it.

What it is made of does not depend on the fleet, so that the session is restorable like any other;
the fleet comes in with the ticks. Session ids never leave the server: rows go by the short form.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models.widgets import Div, Select, TextInput

from service.admin.tables import (
    Table,
    app_columns,
    app_row,
    replica_columns,
    replica_row,
    session_columns,
    session_row,
    slow_columns,
    slow_rows,
)
from service.admin.watch import MAX_SESSIONS, FleetWatch
from service.admin.widgets import FULL_WIDTH, Charts, Confirmed, heading, notice, tiles
from service.audit import acted
from service.fleet.ending import begin_to_end
from service.fleet.maintenance_mode import shown_app
from service.fleet.view import FleetView, SessionFilter
from store.contract import SessionRecord, Store
from store.errors import StoreError
from store.maintenance import ALL_APPS, MaintenanceNotice

__all__ = ("AdminPage",)


TICK = 1000
"""Milliseconds."""

FIRST_TICK = 150
"""Milliseconds, by which the first look has probably come back."""

ANY = "any"
ALL = "all apps"
ALL_ONLY: list[Any] = [ALL]
ANYTHING: list[Any] = [ANY]
AGES: dict[Any, float] = {ANY: 0.0, "1 minute": 60.0, "1 hour": 3600.0, "1 day": 86400.0}


class AdminPage:
    """Fills ``document`` and keeps it up to date."""

    def __init__(self, document: Document, store: Store, watch: FleetWatch, *, can_drain: bool) -> None:
        self._document = document
        self._store = store
        self._watch = watch
        context: Any = document.session_context
        self._user = context.request.user
        self._header = Div(name="header", sizing_mode="stretch_width", stylesheets=[FULL_WIDTH])
        self._says = Div(name="says", sizing_mode="stretch_width", stylesheets=[FULL_WIDTH])
        self._charts = Charts()
        self._replicas = Table("replicas", replica_columns(), lines=5)
        self._apps = Table("apps", app_columns(), lines=4)
        self._slow = Table("slow", slow_columns(), lines=5)
        self._sessions = Table("sessions", session_columns(), lines=12)
        self._listed = Div(name="listed", sizing_mode="stretch_width")
        self._app = Select(title="App", name="app", options=ANYTHING, value=ANY, width=170)
        self._replica = Select(title="Replica", name="replica", options=ANYTHING, value=ANY, width=170)
        self._age = Select(title="Older than", name="age", options=[*AGES], value=ANY, width=130)
        self._username = TextInput(title="User", name="user", width=170)
        self._drain = Confirmed(
            "drain", "Drain the selected replica", lambda: self._replicas.selected, self._do_drain
        )
        self._end = Confirmed(
            "end", "End the selected session", lambda: self._sessions.selected, self._do_end
        )
        self._closed_app = Select(
            title="Maintenance of", name="maintenance app", options=ALL_ONLY, value=ALL, width=170
        )
        self._message = TextInput(title="What visitors are told", name="maintenance message", width=420)
        self._begin = Confirmed("begin maintenance", "Begin maintenance", self._to_close, self._do_begin)
        self._finish = Confirmed("end maintenance", "End maintenance", self._to_open, self._do_finish)
        self._lay_out(can_drain=can_drain)
        for choice in (self._app, self._replica, self._age, self._username):
            choice.on_change("value", lambda attr, old, new: self._tick())
        document.add_periodic_callback(self._tick, TICK)
        document.add_timeout_callback(self._tick, FIRST_TICK)
        self._tick()

    def _lay_out(self, *, can_drain: bool) -> None:
        filters = row(self._app, self._replica, self._age, self._username)
        parts: list[Any] = [
            self._header,
            self._says,
            self._charts.row,
            heading("Replicas"),
            self._replicas.widget,
        ]
        if can_drain:
            parts.append(self._drain.row)
        parts += [heading("Apps"), self._apps.widget]
        parts += [row(self._closed_app, self._message), row(self._begin.row, self._finish.row)]
        parts += [heading("Sessions"), filters, self._sessions.widget, self._listed, self._end.row]
        parts += [heading("Code that ran for long (<code>--slow-callback</code>)"), self._slow.widget]
        self._document.add_root(column(parts, sizing_mode="stretch_width", margin=(0, 12, 24, 12)))
        self._document.title = "svc fleet"

    # -- what is shown -------------------------------------------------------------------------

    def _tick(self) -> None:
        view = self._watch.latest()
        self._header.text = tiles(view, self._watch.trouble)
        if view is not None:
            self._charts.add(view)
            self._replicas.show([replica_row(each, view.at, self._watch.lines) for each in view.replicas])
            self._apps.show([app_row(each) for each in view.apps()])
            self._slow.show(slow_rows(view.replicas, view.at))
            self._offer(view)
            self._show_sessions(view)

    def _offer(self, view: FleetView) -> None:
        apps = {each.path for each in view.apps()}
        self._app.options = [ANY, *sorted(apps | {self._app.value} - {ANY})]
        replicas = {each.replica for each in view.replicas}
        self._closed_app.options = [ALL, *sorted(apps | {self._closed_app.value} - {ALL})]
        self._replica.options = [ANY, *sorted(replicas | {self._replica.value} - {ANY})]

    def _show_sessions(self, view: FleetView) -> None:
        chosen = SessionFilter(
            app=None if self._app.value == ANY else self._app.value,
            replica=None if self._replica.value == ANY else self._replica.value,
            user=self._username.value or None,
            older=AGES.get(self._age.value),
        ).of(view.held or [], view.at)
        self._sessions.show([session_row(each, view) for each in chosen])
        there = sum(sum(each.sessions.values()) for each in view.replicas)
        there = max(there, len(view.held or ()))  # those that are being built are not counted
        cut = (
            f" (only {MAX_SESSIONS} are read; <code>svc sessions</code> reads all)"
            if there > MAX_SESSIONS
            else ""
        )
        self._listed.text = f"{len(chosen)} of {there} sessions{cut}"

    # -- what can be done ----------------------------------------------------------------------

    async def _do_drain(self, replica: str) -> None:
        said = await self._try(
            self._store.ask_to_drain(replica, by=self._user or ""),
            f"{replica} was asked to drain",
            f"{replica} is gone",
        )
        acted("drain", replica, said, operator=self._user)

    async def _do_end(self, short: str) -> None:
        record, gone = self._record(short), f"{short} is gone already"
        if record is None:
            said = gone
            self._say(said)
        else:
            said = await self._try(
                begin_to_end(self._store, record.key, by=self._user or ""), f"{short} ends", gone
            )
        acted("end", short, said, operator=self._user)

    def _to_close(self) -> str:
        if not self._message.value.strip():
            self._say("Say first what visitors are told.")
            return ""
        return f"maintenance of {self._closed_app.value}"

    def _to_open(self) -> str:
        return f"maintenance of {self._closed_app.value}"

    async def _do_begin(self, what: str) -> None:
        app = _app_in(what)
        begun = MaintenanceNotice(self._message.value.strip(), time.time(), operator=self._user or "")
        said = await self._try(_done(self._store.maintenance.begin(app, begun)), f"{what} begins", "")
        acted("maintenance", shown_app(app), said, operator=self._user)

    async def _do_finish(self, what: str) -> None:
        app = _app_in(what)
        ending = self._store.maintenance.end(app or None, by=self._user or "")
        said = await self._try(_done(ending), f"{what} ends", "")
        acted("maintenance", shown_app(app), said, operator=self._user)

    async def _try(self, work: Awaitable[bool], done: str, missing: str) -> str:
        """What came of it, which is shown as well."""
        try:
            said = done if await work else missing
        except StoreError as error:
            said = f"that did not work: {error}"
        self._say(said)
        return said

    def _record(self, short: str) -> SessionRecord | None:
        view = self._watch.latest()
        return next((each for each in (view and view.held) or [] if each.key.short == short), None)

    def _say(self, text: str) -> None:
        self._says.text = notice(text)


def _app_in(what: str) -> str:
    """The app of a question about ``maintenance of ...``, which may have been asked a while ago."""
    name = what.removeprefix("maintenance of ")
    return ALL_APPS if name == ALL else name


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True
