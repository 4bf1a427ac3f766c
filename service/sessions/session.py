"""A live session: one Document, its lock, its callbacks and the connections that watch it.

Every change of the Document happens under the lock, and what it caused is sent before the lock
is given back, so all connections see all changes in one order.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from bokeh.document.events import DocumentPatchedEvent, SessionCallbackAdded, SessionCallbackRemoved
from bokeh.events import ButtonClick, ConnectionLost, DocumentReady, Event, MenuItemClick
from bokeh.server.callbacks import PeriodicCallback, SessionCallback

from service import logs
from service.apps import jupyter_widgets
from service.apps.app import App
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.frames import exc_info_of_app
from service.apps.panel import PanelConnection, dispatch
from service.apps.worker_pool import name_of
from service.background import begin, spawn
from service.documents.copies import Copies
from service.documents.disposal import dispose
from service.documents.encoding import encode_patch, note_patch
from service.documents.journal import Journal
from service.documents.listening import runs_app_code
from service.documents.restore import Fidelity
from service.documents.wiring import PERIODIC, Input, current_input
from service.errors import GivenUp, SessionMoved
from service.metrics import AppMeter
from service.protocol.messages import patch_doc
from service.sessions.callback_check import CallbackCheck
from service.sessions.callbacks import SessionCallbacks, on_loop
from service.sessions.lock import DocumentLock
from service.sessions.page_message import PageMessage, callback_failed, callbacks_lost
from store.contract import PageRequest, SessionKey

if TYPE_CHECKING:
    from service.sessions.connection import Connection

__all__ = ("Session",)

log = logging.getLogger(__name__)

_Outgoing: TypeAlias = "tuple[str, Copies, list[Connection]]"
"""A change as content and buffers, and whom it is sent to."""

_MISSED = object()
"""The session was gone before something could run."""


async def _settled(session: Session) -> None:
    return


class Session:
    """Created with its Document built; lives until :meth:`destroy`."""

    def __init__(
        self,
        key: SessionKey,
        epoch: int,
        request: PageRequest,
        app: App,
        context: AppSessionContext,
        execution: Execution,
        *,
        meter: AppMeter,
        journal: Journal | None = None,
        fidelity: Fidelity | None = None,
        losses: Sequence[str] = (),
    ) -> None:
        self.key = key
        self.meter = meter
        self.epoch = epoch
        self.request = request
        self.app = app
        self.context = context
        self.document = execution.document
        self.connections: set[Connection] = set()
        self.destroyed = False
        self._given_up = False
        self.lost = False
        """Another replica owns the session by now."""
        self.unused_since = self._last_work = time.monotonic()
        self.last_input = -math.inf
        """When a client last did something, as ``time.monotonic()`` has it."""
        self.around_timer: Callable[[Session], AbstractAsyncContextManager[None]] = lambda _: nullcontext()
        """What session callbacks run inside of."""
        self.journal = journal
        """None when the session is not, or no longer, kept in the store."""
        self.writes = 0
        """How often the journal was written by this owner."""
        self.fidelity = fidelity
        """How the session was restored; None when it began here."""
        self.losses = list(losses)
        """What restoring lost, in words; until a page has said so."""
        self.page_messages: list[PageMessage] = []
        """What each page says beside the Document."""
        self.check: CallbackCheck | None = None
        """For an author who develops the app, whose pages also show what its callbacks raise."""
        self.on_dirty: Callable[[Session], None] = lambda session: None
        self.settle: Callable[[Session], Awaitable[None]] = _settled
        """Waits until the store has what clients changed, where clients shall wait for that."""
        self._pages: set[str] | None = set() if fidelity is None else None
        self._execution = execution
        self._lock = DocumentLock()
        self._waiting = 0
        self._expiration_requested = False
        self._expiration_blocked_count = 0
        self._current: Callable[..., Any] | None = None
        """What is called under the lock now."""
        self._worker: asyncio.Task[Any] | None = None
        """The task that calls it."""
        self._patching: Connection | None = None
        self._ids_before = 0
        self._outbox: list[_Outgoing] | None = None
        self._early: deque[_Outgoing] = deque()
        """What the event loop is to send before the lock is given back. A thread may add to it meanwhile."""
        self._loop = asyncio.get_running_loop()
        self._callbacks = SessionCallbacks(self._loop, self.run_callback, self._timer_failed)
        self.document.callbacks.on_change_dispatch_to(self)
        self.document.on_event(DocumentReady, self._page_is_drawn)
        self.document.on_message("bokeh_event", self._event_came)
        self.document.on_message(jupyter_widgets.MESSAGES, self._message_of_widget_came)
        execution.on_wired(self._wired)
        self._begin_callbacks()
        context.attach(self)
        context.state.changed = self._state_changed

    def _begin_callbacks(self) -> None:
        """Those that the app's run has added: what it put off is part of it, and done again after a move."""
        token = current_input.set(Input())
        for callback in self.document.session_callbacks:
            self._callbacks.add(callback)
        current_input.reset(token)

    # -- what Bokeh and app code look at -------------------------------------------------------

    @property
    def id(self) -> str:
        return self.key.session_id

    @property
    def locked(self) -> bool:
        """Whether something works on the Document right now."""
        return self._lock.taken

    @property
    def at_work(self) -> bool:
        """Whether a thread works on the Document right now, which nobody may look at then."""
        return self._execution.at_work

    @property
    def doing(self) -> str:
        """What its code is at, in words; "" when there is none."""
        return self._execution.doing or ("" if self._current is None else name_of(self._current))

    @property
    def held(self) -> bool:
        """Whether the app keeps changes back (``doc.hold()``)."""
        return self.document.callbacks.hold_value is not None

    @property
    def connection_count(self) -> int:
        return len(self.connections)

    def take_losses(self) -> list[str]:
        """What restoring lost, for the page that says so."""
        losses, self.losses = self.losses, []
        return losses

    def lost_callbacks(self) -> None:
        """Callbacks that were added at run time did not come back with the session: its pages say so."""
        self.page_messages.append(callbacks_lost())
        self.show_messages()

    def show_messages(self) -> None:
        """Say to the pages that are connected what there is to say."""
        for connection in self.connections:
            for message in self.page_messages:
                connection.show(message)

    def callback_failed(self, error: BaseException) -> None:
        """Show the traceback to an author who develops the app."""
        if self.check is not None:
            message = callback_failed("".join(traceback.format_exception(error)))
            for connection in self.connections:
                connection.show(message)

    def _timer_failed(self, error: BaseException) -> None:
        self.meter.callback_failures.inc()
        self.callback_failed(error)

    def first_pull(self, token_id: str) -> bool:
        """Whether a page with this token surely has not pulled the Document before; notes that it has.

        Never sure once the session came from another replica.
        """
        if self._pages is None or token_id in self._pages:
            return False
        self._pages.add(token_id)
        return True

    # -- running code on the Document ----------------------------------------------------------

    async def with_document_locked(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``func(*args, **kwargs)`` (plain or async) with the Document to itself; its result.

        None, and nothing runs, when the session was destroyed meanwhile.
        """
        result = await self._locked(partial(func, **kwargs) if kwargs else func, *args)
        return None if result is _MISSED else result

    async def for_client(self, func: Callable[..., Any], *args: Any) -> None:
        """As :meth:`with_document_locked`; what then missed the session must not be acknowledged.

        Raises SessionMoved.
        """
        if self.lost or await self._locked(func, *args) is _MISSED:
            raise SessionMoved("the session has just left this replica")

    async def catch_up(self) -> None:
        """Wait, with the Document to oneself, for connections that have much unsent."""
        await self._alone(self._let_slow_connections_catch_up)

    async def _locked(self, func: Callable[..., Any], *args: Any) -> Any:
        return await self._alone(self._collecting, func, *args)

    async def _alone(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """What ``work`` gives under the lock, or ``_MISSED``."""
        if self.destroyed:
            return _MISSED
        self._waiting += 1
        try:
            async with self._lock:
                if self.destroyed:
                    return _MISSED
                return await work(*args)
        finally:
            self._waiting -= 1

    async def run_callback(self, callback: Callable[..., Any]) -> Any:
        """Run a session callback: under the lock, unless it is marked ``without_document_lock``."""
        async with self.around_timer(self):
            if getattr(callback, "nolock", False):
                return await self._execution.run(callback, locked=False)
            return await self.with_document_locked(callback)

    async def apply(self, change: Callable[[], None], source: Connection) -> None:
        """Run ``change``, which comes from ``source`` and is not sent back there. Raises SessionMoved."""
        await self.for_client(self._apply, change, source)

    def needs_thread(self, content: Any) -> bool:
        """Whether this patch runs code of the app, and that on a thread."""
        return self._execution.threaded and runs_app_code(self.document, content, self._page_is_drawn)

    @property
    def free(self) -> bool:
        """Whether a change can be made and acknowledged right now, without waiting for anything."""
        busy = self._waiting or self._lock.taken
        return not (busy or self.destroyed or self.lost or self.settle is not _settled)

    def apply_at_once(self, change: Callable[[], None], source: Connection) -> None:
        """As :meth:`apply`, for a session that is :attr:`free`: nothing else runs meanwhile.

        It may be :attr:`congested` afterwards, which the caller has to wait for.
        """
        with self._lock.at_once():
            self._begin()
            try:
                with self.meter.callback_seconds.time():
                    self._execution.call(self._apply, change, source)
            finally:
                self._worked()

    def apply_on_thread(self, change: Callable[[], None], source: Connection) -> Awaitable[None] | None:
        """As :meth:`apply_at_once`, on a thread. What to await where that takes longer than a moment."""
        self._lock.begin_turn()
        self._begin()
        began = time.monotonic()
        try:
            working = self._execution.begin(self._apply, change, source)
        except BaseException:
            self._turn_worked(began)
            raise
        if working is None:
            self._turn_worked(began)
            return None
        rest = begin(self._finish_turn(working, began))
        self._lock.pass_turn()
        return rest

    def _turn_worked(self, began: float) -> None:
        try:
            self.meter.callback_seconds.observe(time.monotonic() - began)
            self._worked()
        finally:
            self._lock.end_turn()

    async def _finish_turn(self, working: Awaitable[None], began: float) -> None:
        self._waiting += 1
        try:
            async with self._lock.prolonged():
                try:
                    await working
                finally:
                    self.meter.callback_seconds.observe(time.monotonic() - began)
                    self._worked()
                    if not self.destroyed:
                        await self._let_slow_connections_catch_up()
        finally:
            self._waiting -= 1

    def _apply(self, change: Callable[[], None], source: Connection) -> None:
        self._patching = source
        self.last_input = time.monotonic()
        self._ids_before = self._execution.id_count
        self.context.state.work_begins()
        token = current_input.set(Input())
        try:
            change()
        finally:
            current_input.reset(token)
            self._patching = None
            if self.journal is not None and self.held:
                self.journal.note_held(self, self._ids_before)

    async def _collecting(self, func: Callable[..., Any], *args: Any) -> Any:
        self._current, self._worker = func, asyncio.current_task()
        self._begin()
        try:
            with self.meter.callback_seconds.time():
                return await self._execution.run(func, *args)
        except asyncio.CancelledError:
            if not self._given_up or self._worker is None:
                raise
            self._worker.uncancel()  # it was cancelled by give_up_code, and goes on to deal with the error
            raise GivenUp("not waiting for code that goes on and on") from None
        finally:
            self._current = self._worker = None
            self._worked()
            if not self.destroyed:
                await self._let_slow_connections_catch_up()

    def _begin(self) -> None:
        self._outbox = []
        if self.journal is not None:
            self.journal.work_begins()

    def _worked(self) -> None:
        """Send what came of it, and see that it is journaled."""
        if self.journal is not None:
            self.journal.work_ends()
        outbox, self._outbox = self._outbox, None
        if self._given_up:
            return
        self._deliver([*self._take_early(), *(outbox or ())])
        self._last_work = time.monotonic()
        if self.journal is not None and self.journal.dirty:
            self.on_dirty(self)

    def _take_early(self) -> list[_Outgoing]:
        return [self._early.popleft() for _ in range(len(self._early))]

    def _deliver(self, outbox: list[_Outgoing]) -> None:
        for content, buffers, receivers in outbox:
            frames = patch_doc(content, buffers)
            for connection in receivers:
                connection.send(frames)
            self.meter.patches_out += len(receivers)

    @property
    def congested(self) -> bool:
        """Whether a connection has much unsent."""
        return any(connection.congested for connection in self.connections)

    async def _let_slow_connections_catch_up(self) -> None:
        """Wait while a connection has much unsent, so that a streaming app cannot outrun it."""
        for connection in [c for c in self.connections if c.congested]:
            await connection.catch_up()

    # -- events of the Document (called by Bokeh's dispatch) -----------------------------------

    @property
    def _subscribed_connections(self) -> list[PanelConnection]:
        """What Panel (1.9) writes through when the Document is held. Without any, it forgets what changed."""
        watched = any(connection.subscribed for connection in tuple(self.connections))
        return [PanelConnection(self)] if watched or self.journal is not None else []

    @property
    def _pending_writes(self) -> list[_Outgoing] | None:
        """Not None where Panel (1.10), off the event loop, may let changes take Bokeh's way to clients."""
        return self._outbox if self._lock.locked() else None

    def send_at_once(self, events: Sequence[DocumentPatchedEvent]) -> None:
        """Send these changes, and before them those that wait for the lock to be given back."""
        if self.at_work and not self._lock.locked():
            # Not beside a thread that has the Document: in the next turn.
            on_loop(self._loop, self._send_later, events)
            return
        waiting, self._outbox = self._outbox, []
        try:
            with nullcontext() if self._lock.locked() else self._lock.at_once():
                for event in events:
                    dispatch(self.document, event)
        finally:
            now, self._outbox = self._outbox, None if waiting is None else []
            self._early.extend([*(waiting or ()), *now])
            on_loop(self._loop, Session._send_early, self)

    def _send_early(self) -> None:
        """What is not to wait for the lock, perhaps of a thread that has it. What comes later follows."""
        if self._given_up:
            return
        self._deliver(self._take_early())
        if self.journal is not None and self.journal.dirty and not self.at_work:
            self.on_dirty(self)

    def _send_later(self, events: Sequence[DocumentPatchedEvent]) -> None:
        spawn(self.with_document_locked(self._dispatch_all, events))

    async def _dispatch_all(self, events: Sequence[DocumentPatchedEvent]) -> None:
        for event in events:
            dispatch(self.document, event)

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        if self._outbox is None or not self._lock.locked():
            raise RuntimeError(
                "the Document was changed without its lock: change it from a callback, or through "
                "doc.add_next_tick_callback when on a thread or in an unlocked callback"
            )
        setter: object = event.setter
        if self.journal is not None:
            self.journal.note(event, is_input=setter is self, ids_before=self._ids_before)
            if setter is self:  # its callbacks have run: what follows in the same patch begins here
                self._ids_before = self._execution.id_count
        source = self._patching if setter is self else None
        # Now, not when it is sent: who pushes a Document is not subscribed while it takes effect.
        # And a copy first, in one go, as connections come and go on the event loop meanwhile.
        receivers = [each for each in tuple(self.connections) if each.subscribed and each is not source]
        if receivers:
            content, copies = encode_patch(event)
            self._outbox.append((content, copies, receivers))
            if self.journal is not None:
                self.journal.shown(event, copies)
        elif source is not None:
            note_patch(event)

    def _state_changed(self, key: str) -> None:
        """The app may do this on a thread of its own; journals are the event loop's."""
        on_loop(self._loop, self._note_state, key)

    def _note_state(self, key: str) -> None:
        if self.journal is not None:
            self.journal.note_state(key)
            self.on_dirty(self)

    def _event_came(self, event: Event) -> None:
        """A client told of it, and its callbacks have run."""
        source = current_input.get()
        if source is not None and not isinstance(event, DocumentReady):
            source.events.append((self._ids_before, event))
            self._ids_before = self._execution.id_count
        # Clicks only: of other events, such as those of the mouse, nothing is counted.
        if isinstance(event, ButtonClick | MenuItemClick) and self.journal is not None and event.model:
            self.journal.note_event(event.model)

    def _message_of_widget_came(self, data: Any) -> None:
        if self.journal is not None:
            self.journal.note_message(jupyter_widgets.MESSAGES, data)

    def _wired(self, model: Any, callbacks: tuple[Any, ...]) -> None:
        """App code, on whatever thread, has added callbacks to a model or removed them."""
        source = current_input.get()
        if source is None and self.check is not None:
            self.check.look(model, callbacks, has_lock=self._lock.locked())
        self._to_journal((model.id, source))

    def _to_journal(self, what: tuple[str, Input | None]) -> None:
        """At once where that has the journal to itself, as before the end of its work it has to be known."""
        if self._lock.locked():
            self._note_wired(what)
        else:
            on_loop(self._loop, self._note_wired, what)

    def _note_wired(self, what: tuple[str, Input | None]) -> None:
        if self.journal is not None:
            self.journal.note_wired(*what)

    def _page_is_drawn(self, event: Event) -> None:
        if self.journal is not None:
            self.journal.note_ready(self._ids_before)

    def _session_callback_added(self, event: SessionCallbackAdded) -> None:
        self._note_periodic(event.callback)
        self._callbacks.add(event.callback)

    def _note_periodic(self, callback: SessionCallback) -> None:
        if isinstance(callback, PeriodicCallback):
            self._to_journal((PERIODIC, current_input.get()))

    def _session_callback_removed(self, event: SessionCallbackRemoved) -> None:
        self._note_periodic(event.callback)
        self._callbacks.remove(event.callback)

    # -- connections ---------------------------------------------------------------------------

    def connect(self, connection: Connection) -> None:
        self.connections.add(connection)

    async def disconnect(self, connection: Connection) -> None:
        """Forget ``connection`` and tell the Document (event ``ConnectionLost``)."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.unused_since = time.monotonic()
        if self.destroyed or not self.document.callbacks.event_callbacks_for_event_name("connection_lost"):
            return
        try:
            await self.with_document_locked(self._connection_lost)
        except GivenUp as error:
            log.debug("%s", error)
        except Exception as error:
            text = "a callback for ConnectionLost failed"
            log.exception(text, exc_info=exc_info_of_app(error), extra=self.key.facts)

    def _connection_lost(self) -> None:
        self.document.callbacks.trigger_event(ConnectionLost())

    @property
    def has_callbacks(self) -> bool:
        """Whether periodic, timeout or next-tick callbacks are pending."""
        return len(self._callbacks) > 0

    def idle_for(self) -> float:
        """Seconds since anything last worked on the Document; 0 while something does."""
        return 0.0 if self._waiting or self.expiration_blocked else time.monotonic() - self._last_work

    def unused_for(self) -> float:
        """Seconds without any connection or work; 0 while there is either, or the app wants it to stay."""
        if self.connections or self._waiting or self.expiration_blocked:
            return 0.0
        return math.inf if self.expiration_requested else time.monotonic() - self.unused_since

    @property
    def milliseconds_since_last_unsubscribe(self) -> float:
        """Since the last connection was lost, or the session began without any."""
        return (time.monotonic() - self.unused_since) * 1000

    # -- when it ends, as apps may decide (the names are those of Bokeh's ``ServerSession``) ------

    @property
    def expiration_requested(self) -> bool:
        return self._expiration_requested

    @property
    def expiration_blocked(self) -> bool:
        return self._expiration_blocked_count > 0

    @property
    def expiration_blocked_count(self) -> int:
        return self._expiration_blocked_count

    def request_expiration(self) -> None:
        """End it at the next look at unused sessions, once nobody is connected."""
        self._expiration_requested = True

    def block_expiration(self) -> None:
        """Keep it, whoever uses it, until :meth:`unblock_expiration` was called as often."""
        self._expiration_blocked_count += 1

    def unblock_expiration(self) -> None:
        """Raises RuntimeError without a :meth:`block_expiration` before."""
        if not self.expiration_blocked:
            raise RuntimeError("mismatched block_expiration / unblock_expiration")
        self._expiration_blocked_count -= 1

    # -- end -----------------------------------------------------------------------------------

    async def destroy(self, farewell: Callable[[Session], Awaitable[None]]) -> None:
        """Finish what runs, say ``farewell``, run the hooks and take the Document apart.

        ``farewell`` is where the last changes are written and the session is given up.
        """
        async with self._lock:
            if not self.destroyed:
                with logs.about(**self.key.facts):
                    await self._destroy(farewell)

    async def _destroy(self, farewell: Callable[[Session], Awaitable[None]]) -> None:
        self.destroyed = True
        self._callbacks.close()
        await self._let_go_of_changes()
        await farewell(self)
        self._outbox = []
        self._current = self._run_last_hooks
        await self._run_last_hooks()
        dispose(self.document, self)
        self._outbox = self._current = None
        self._let_go()

    async def _let_go_of_changes(self) -> None:
        """What a held Document keeps back goes out now: whoever restores the session knows nothing of it."""
        if not self.held or self.lost:
            return
        try:
            await self._collecting(self.document.unhold)
        except Exception as error:
            # The app's callbacks, which were held back along with the changes, must not keep it here.
            text = "a callback that was held back failed"
            log.exception(text, exc_info=exc_info_of_app(error), extra=self.key.facts)

    async def _run_last_hooks(self) -> None:
        await self.app.end(self.context, self._execution)

    def disown(self) -> None:
        """Let it go as it was last journaled, while code of its goes on and on.

        What that changes from here on is sent to nobody, and refused where Bokeh tells of it.
        """
        self._given_up = self.destroyed = True
        self.journal = None
        self._outbox = None
        self._callbacks.close()

    def give_up_code(self) -> None:
        """Once it is disowned: whoever waits for its code, which may go on for ever, gets GivenUp."""
        if self._worker is not None and not self._execution.at_work:  # a coroutine
            self._worker.cancel()
        if self._execution.threaded:
            self._execution.give_up()

    def _let_go(self) -> None:
        """Break the cycles through this session: its memory is then free at once, not at some collection."""
        self._execution.on_wired(None)
        self.journal = None
        self.context.detach()

    def close_connections(self, code: int, reason: str, **options: float) -> None:
        """Close all connections; they report back through :meth:`disconnect`. Options are the transport's."""
        for connection in list(self.connections):
            connection.close(code, reason, **options)
