"""What of a session would be lost if it slept: it is brought back by its app's run and its journal alone.

``bokeh serve`` keeps a session with an open page for ever, Python variables and all. A session that sleeps
because it is idle must not be told from that, so it does not as long as anything speaks against it
(docs/adr/0019).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bokeh.document import Document

from service.apps.app import App
from service.apps.execution import Execution
from service.apps.variables import Variables, is_coroutine_of
from service.documents.journal import Journal

__all__ = ("Wakefulness",)

MAX_NAMES = 3


class Wakefulness:
    """Of one session. What is said once against its sleep holds for as long as it lives here.

    One that is not ``kept`` in the store never sleeps, so nothing is noted of it.
    """

    __slots__ = ("_app", "_execution", "_found", "_variables")

    def __init__(self, app: App, execution: Execution, *, kept: bool) -> None:
        self._app = app
        self._execution = execution
        self._variables = Variables(execution.document) if kept and app.may_sleep is None else None
        self._found = ""

    @property
    def found(self) -> str:
        """What speaks against its sleep for good; "" for nothing so far."""
        return self._found

    @property
    def has_to_note(self) -> bool:
        """Whether :meth:`note` is due before code runs that is no part of the app's run."""
        return self._variables is not None and not self._variables.noted and not self._found

    def note(self) -> None:
        """With the session's lock, on a thread where code of the app has one."""
        if self._variables is not None:
            self._variables.note()

    def ran_unlocked(self) -> None:
        """The first code that runs does not wait for the lock, and would be at work while it is noted."""
        self._found = self._found or "code ran without the session's lock"

    def changed_from_outside(self) -> None:
        """Somebody else's code has changed the session. It will not find it again after a sleep."""
        self._found = "something besides its page changes it"
        self._app.note_changed_from_outside()

    def reason(self, journal: Journal, coroutines: Iterable[dict[str, Any]]) -> str:
        """Why it stays awake, in words; "" if nothing would be lost. As :meth:`note`."""
        app = self._app
        if app.may_sleep is not None:
            return "" if app.may_sleep else "the app says sleep_when_idle = False"
        self._found = self._found or self._look(self._execution.document, journal, coroutines)
        return self._found or self._at_work(self._execution.document, coroutines)

    def _look(self, document: Document, journal: Journal, coroutines: Iterable[dict[str, Any]]) -> str:
        app = self._app
        if app.changed_from_outside:
            return "something besides their pages changes sessions of its app"
        if app.has_end_hooks(document):
            return "code of the app runs at the end of a session"
        if journal.has_stray_callbacks and not app.restores_itself:
            return "a timer or a thread has added callbacks"
        changed = [] if self._variables is None else self._variables.changed()
        return f"code has changed {_listed(changed)}" if changed else ""

    def _at_work(self, document: Document, coroutines: Iterable[dict[str, Any]]) -> str:
        if self._execution.has_threads:
            return "a thread of it is at work"
        if is_coroutine_of(document, self._execution.folder, coroutines):
            return "a coroutine of it is at work"
        return ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES])
    return shown if len(names) <= MAX_NAMES else f"{shown} and {len(names) - MAX_NAMES} more"
