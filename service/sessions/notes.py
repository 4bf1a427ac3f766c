"""What the journal of a session is told, on whichever thread it happens.

Journals are the event loop's, but for the time in which code has the session's lock: that then has the
journal to itself, as before the end of its work it has to be known what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.events import (
    ButtonClick,
    DocumentReady,
    DoubleTap,
    Event,
    MenuItemClick,
    PanEnd,
    PressUp,
    SelectionGeometry,
    Tap,
)
from bokeh.server.callbacks import PeriodicCallback, SessionCallback

from service.apps import jupyter_widgets
from service.apps.execution import Execution
from service.documents.copies import Copies
from service.documents.journal import Journal
from service.documents.wiring import PERIODIC, Input, Message, by_library, current_input
from service.sessions.callback_check import CallbackCheck
from service.sessions.callbacks import on_loop
from service.sessions.lock import DocumentLock

__all__ = ("Notes",)

_Wired: TypeAlias = "tuple[str, Input | None, bool]"
"""A model's id, what gave it callbacks, and whether those are a library's."""


_COUNTED = (ButtonClick, MenuItemClick, Tap, DoubleTap, PressUp, PanEnd, SelectionGeometry)
"""Of others, such as each move of the mouse, nothing is kept."""


class Notes:
    """Passes on to ``journal``, as long as there is one; ``mark`` is told when it has something to write."""

    def __init__(
        self,
        journal: Journal | None,
        execution: Execution,
        lock: DocumentLock,
        *,
        mark: Callable[[], None],
        check: CallbackCheck | None,
    ) -> None:
        self._journal = journal
        self._execution = execution
        self._lock = lock
        self._mark: Callable[[], None] | None = mark
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._ids_before = 0
        """The place of the ids before the last input took effect."""

    def listen(self, document: Document) -> None:
        document.on_event(DocumentReady, self.page_is_drawn)
        document.on_message("bokeh_event", self._event_came)
        document.on_message(jupyter_widgets.MESSAGES, self._message_of_widget_came)
        self._execution.on_wired(self._wired)

    @property
    def journal(self) -> Journal | None:
        return self._journal

    def stop(self) -> None:
        """There is no journal any more."""
        self._journal = None

    def close(self) -> None:
        """Nothing comes any more: break the cycles through this."""
        self._execution.on_wired(None)
        self._journal = self._mark = None

    def keep(self) -> None:
        """See that what is new is written to the store."""
        if self._journal is not None and self._journal.dirty:
            self._is_dirty()

    def _is_dirty(self) -> None:
        if self._mark is not None:
            self._mark()

    # -- while code has the lock -----------------------------------------------------------------

    def work_begins(self) -> None:
        if self._journal is not None:
            self._journal.work_begins()

    def work_ends(self) -> None:
        if self._journal is not None:
            self._journal.work_ends()

    def input_begins(self) -> None:
        source = current_input.get()
        self._ids_before = 0 if source is None or source.ids is None else source.ids.place

    def input_ends(self, setter: object, *, held: bool) -> None:
        if self._journal is not None and held:
            self._journal.note_held(setter, self._ids_before)

    def changed(self, event: DocumentPatchedEvent, *, is_input: bool) -> None:
        if self._journal is None:
            return
        self._journal.note(event, is_input=is_input, ids_before=self._ids_before)
        if is_input:  # its callbacks have run: what follows in the same patch begins here
            self.input_begins()

    def shown(self, event: DocumentPatchedEvent, copies: Copies) -> None:
        if self._journal is not None:
            self._journal.shown(event, copies)

    def page_is_drawn(self, event: Event) -> None:
        if self._journal is not None:
            self._journal.note_ready(self._ids_before)

    def _event_came(self, event: Event) -> None:
        """A client told of it, and its callbacks have run."""
        source = current_input.get()
        if source is not None and not isinstance(event, DocumentReady):
            source.events.append((self._ids_before, event))
            self.input_begins()
        if isinstance(event, _COUNTED) and source is not None and event.model:
            source.clicked.add(event.model.id)
            if self._journal is not None:
                self._journal.note_clicks(source)

    def _message_of_widget_came(self, data: Any) -> None:
        """Panel puts off what its receivers do with it, and so what follows from it is still to come."""
        source = current_input.get()
        if source is not None:
            message = Message(jupyter_widgets.MESSAGES, data, jupyter_widgets.place_of(data))
            source.events.append((self._ids_before, message))
        if self._journal is not None:
            self._journal.note_message(jupyter_widgets.MESSAGES, data)

    # -- between work, on the event loop ---------------------------------------------------------

    def went_on(self) -> None:
        """Code without the lock is over. Panel handles clicks in such, and only then counts them."""
        source = current_input.get()
        if source is not None and source.clicked and self._journal is not None:
            self._journal.note_clicks(source)
            self.keep()

    # -- on any thread ---------------------------------------------------------------------------

    def state_changed(self, key: str) -> None:
        """Of ``service.session_state``. The app may do this on a thread of its own.

        What code with the lock has set is noted before that is given back: it is written together with what
        else that code has done.
        """
        if self._lock.locked():
            self._note_state(key)
        else:
            on_loop(self._loop, self._note_state_later, key)

    def _note_state(self, key: str) -> None:
        if self._journal is not None:
            self._journal.note_state(key)

    def _note_state_later(self, key: str) -> None:
        self._note_state(key)
        self.keep()

    def callback_changed(self, callback: SessionCallback) -> None:
        """The app has added a session callback, or removed it."""
        if isinstance(callback, PeriodicCallback):
            self._pass_on((PERIODIC, current_input.get(), False))

    def _wired(self, model: Any, callbacks: tuple[Any, ...]) -> None:
        """App code has added callbacks to a model or removed them."""
        source = current_input.get()
        if source is None and self._check is not None:
            self._check.look(model, callbacks, has_lock=self._lock.locked())
        self._pass_on((model.id, source, by_library(callbacks)))

    def _pass_on(self, what: _Wired) -> None:
        if self._lock.locked():
            self._note_wired(what)
        else:
            on_loop(self._loop, self._note_wired, what)

    def _note_wired(self, what: _Wired) -> None:
        if self._journal is not None:
            model_id, source, of_library = what
            self._journal.note_wired(model_id, source, by_library=of_library)
