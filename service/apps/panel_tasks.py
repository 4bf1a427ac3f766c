"""``pn.state.schedule_task`` (panel 1.9 and 1.10) in a fleet: one replica at a time runs it, not each.

Panel's own schedules are those of a process. What begins at a certain time, or runs more often than once a
second, stays that.
"""

from __future__ import annotations

from functools import wraps
from types import ModuleType
from typing import Any

from service.apps.contexts import current_app
from service.apps.when_imported import when_imported

__all__ = ("install",)

_STATE = "panel.io.state"


def install() -> None:
    """Idempotent, and without effect where no app imports Panel."""
    when_imported(_STATE, _take_tasks)


def _take_tasks(module: ModuleType) -> None:
    kind: Any = type(module.state)
    panel_schedule, panel_cancel = kind.schedule_task, kind.cancel_task

    @wraps(panel_schedule)
    def schedule_task(
        self: Any,
        name: str,
        callback: Any,
        at: Any = None,
        period: Any = None,
        cron: str | None = None,
        threaded: bool = False,
    ) -> None:
        tasks = _tasks_of_fleet()
        seconds = module.parse_timedelta(period) if isinstance(period, str) else period
        if at is not None or tasks is None or not tasks.take_from_panel(name, callback, seconds, cron):
            panel_schedule(self, name, callback, at, period, cron, threaded)

    @wraps(panel_cancel)
    def cancel_task(self: Any, name: str, wait: bool = False) -> None:
        tasks = _tasks_of_fleet()
        if tasks is None or not tasks.cancel(name):
            panel_cancel(self, name, wait)

    kind.schedule_task, kind.cancel_task = schedule_task, cancel_task


def _tasks_of_fleet() -> Any:
    """What runs tasks of the app whose code this is; None where that is no matter of a fleet."""
    app = current_app.get()
    return app.tasks if app is not None and app.tasks is not None and app.tasks.in_fleet else None
