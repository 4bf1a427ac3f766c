"""A live session: one Document, its lock, its callbacks and the connections that watch it.

Every change of the Document happens under the lock, and what it caused is sent before the lock
is given back, so all connections see all changes in one order.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from bokeh.document.events import DocumentPatchedEvent, SessionCallbackAdded, SessionCallbackRemoved
from bokeh.events import ConnectionLost

from service import logs
from service.apps.app import App
from service.apps.app_directories import running_app
from service.apps.batched_calls import Call
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.frames import exc_info_of_app
from service.apps.panel import PanelConnection, dispatch
from service.apps.worker_pool import name_of
from service.background import begin, spawn
from service.documents.composing import changes_since
from service.documents.disposal import dispose
from service.documents.encoding import encode_patch, is_of_model_that_left, note_patch, note_shown
from service.documents.journal import Journal
from service.documents.listening import is_page_drawn, runs_app_code
from service.documents.restore import Fidelity
from service.documents.wiring import Input, current_input, following
from service.errors import AppCodeAbandoned, SessionMoved
from service.metrics import AppMeter
from service.sessions.callback_check import CallbackCheck
from service.sessions.callbacks import SessionCallbacks, on_loop
from service.sessions.expiration import Expirable
from service.sessions.lock import DocumentLock
from service.sessions.notes import Notes
from service.sessions.pages import Pages
from service.sessions.slot import Client, Slot
from service.sessions.wakefulness import Wakefulness
from service.sessions.work import Outbox, Outgoing, Work
from store.contract import PageRequest, SessionKey

__all__ = ("AT_RISK_SECONDS", "NO_MAINTENANCE", "Maintenance", "Session")

log = logging.getLogger(__name__)

INPUT_SECONDS = 1.0
"""How long a session that is to end waits for what clients' inputs have put off."""

AT_RISK_SECONDS = 10.0
"""Seconds after an input in which what runs in a session may be what ends its replica."""

_MISSED = object()
"""The session was gone before something could run."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What is done for live sessions beside their own work; by itself, nothing."""

    mark: Callable[[Session], None] = lambda session: None
    """Its journal has something to write."""
    rendered: Callable[[Session], None] = lambda session: None
    """A page has got its Document."""
    settle: Callable[[Session], Awaitable[None]] | None = None
    """Waits until the store has what clients changed; None where clients shall not wait for that."""
    around_timer: Callable[[Session], AbstractAsyncContextManager[None]] = lambda session: nullcontext()
    """What callbacks run inside of that nobody waits for, of a session that another replica may take over."""


NO_MAINTENANCE = Maintenance()


class _Phase(Enum):
    """How far a Document is: this has nothing to do with where the session is in its life."""

    WHOLE = auto()
    ENDING = auto()
    """It is taken apart, or has been: what comes now has missed it."""
    GIVEN_UP = auto()
    """The same, while code of its does not return."""


async def _awaited(result: Awaitable[Any]) -> None:
    await result


class Session(Expirable):
    """Created with its Document built; lives until :meth:`destroy`."""

    def __init__(
        self,
        slot: Slot[Session],
        app: App,
        context: AppSessionContext,
        execution: Execution,
        *,
        meter: AppMeter,
        maintenance: Maintenance,
        journal: Journal | None = None,
        fidelity: Fidelity | None = None,
        losses: Sequence[str] = (),
        check: CallbackCheck | None = None,
    ) -> None:
        super().__init__()
        self.slot = slot
        self.app = app
        self.generation = app.generation
        """Of the app's code that has built it (``--dev``)."""
        self.context = context
        self.document = execution.document
        self.meter = meter
        self.fidelity = fidelity
        """How the session was restored; None when it began here."""
        self.pages = Pages(
            slot.connections, losses, began_here=fidelity is None, developing=check is not None
        )
        self._maintenance = maintenance
        self._execution = execution
        self._lock = DocumentLock()
        self._notes = Notes(
            journal, execution, self._lock, mark=lambda: self._maintenance.mark(self), check=check
        )
        self._waiting = 0
        self._work: Work | None = None
        self._outbox = Outbox(meter)
        self._phase = _Phase.WHOLE
        self._wakefulness = Wakefulness(app, execution, kept=journal is not None)
        self._last_work = time.monotonic()
        self._last_input = -math.inf
        self._loop = asyncio.get_running_loop()
        self._callbacks = SessionCallbacks(self._loop, self.run_callback, self._timer_failed)
        self._listen()

    def _listen(self) -> None:
        self.document.callbacks.on_change_dispatch_to(self)
        self._notes.listen(self.document)
        self._begin_callbacks()
        self.context.attach(self)
        self.context.state.changed = self._notes.state_changed

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
    def key(self) -> SessionKey:
        return self.slot.key

    @property
    def epoch(self) -> int:
        return self.slot.epoch

    @property
    def request(self) -> PageRequest:
        return self.slot.request

    @property
    def destroyed(self) -> bool:
        """Whether the Document is taken apart, or about to be."""
        return self._phase is not _Phase.WHOLE

    @property
    def lost(self) -> bool:
        """Whether another replica owns the session by now."""
        return self.slot.life.lost

    @property
    def journal(self) -> Journal | None:
        """None when the session is not, or no longer, kept in the store."""
        return self._notes.journal

    @property
    def as_recorded(self) -> bool:
        """Whether pages that were shown what the store has of it see what it is now."""
        return self.fidelity is Fidelity.EXACT and self.journal is not None and self.journal.as_restored_from

    def changes_since(self, shown: str) -> str | None:
        """What takes pages from what they were ``shown`` to what it is now (a PATCH-DOC; "" for nothing).

        None where they have to pull it again, or something is at work on it right now.
        """
        if self._lock.taken:
            return None
        with self._lock.at_once():
            changes: str | None = self._execution.call(changes_since, shown, self.document)
        return changes

    def is_shown(self) -> None:
        """Its pages have seen all of it before it was live."""
        note_shown(self.document)

    def is_rendered(self) -> None:
        """A page has got its Document."""
        self._maintenance.rendered(self)

    def stop_journaling(self) -> None:
        """From here on it is not kept in the store."""
        self._notes.stop()

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
        return self._execution.doing or ("" if self._work is None else name_of(self._work.func))

    @property
    def held(self) -> bool:
        """Whether the app keeps changes back (``doc.hold()``)."""
        return self.document.callbacks.hold_value is not None

    @property
    def last_input(self) -> float:
        """When a client last did something, as ``time.monotonic()`` has it."""
        return self._last_input

    @property
    def connections(self) -> frozenset[Client]:
        return frozenset(self.slot.connections)

    @property
    def connection_count(self) -> int:
        return len(self.slot.connections)

    @property
    def _clients(self) -> Set[Client]:
        """Whom changes are sent to: nobody until it is live, as restoring it is no news to a page."""
        return self.slot.connections if self.slot.session is self else frozenset()

    def _timer_failed(self, error: BaseException) -> None:
        self.meter.callback_failed()
        self.pages.callback_failed(error)

    # -- running code on the Document ----------------------------------------------------------

    async def with_document_locked(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``func(*args, **kwargs)`` (plain or async) with the Document to itself; its result.

        None, and nothing runs, when the session was destroyed meanwhile.
        """
        if running_app.get() is not None and not self._execution.is_own_code:
            self.changed_from_outside()
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

    async def in_turn(self, look: Callable[[], None]) -> None:
        """Run ``look``, which is quick and changes nothing, between two callbacks; not once it is gone."""

        async def looking() -> None:
            look()

        await self._alone(looking)

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
        guarded = nullcontext() if self.journal is None else self._maintenance.around_timer(self)
        async with guarded:
            if current_input.get() is None and self._wakefulness.has_to_note:
                await self._note_before_clock(callback)
            if getattr(callback, "nolock", False):
                try:
                    return await self._execution.run(callback, locked=False)
                finally:
                    self._notes.went_on()
            return await self.with_document_locked(callback)

    def call_beside_others(self, func: Callable[[], Any]) -> Call | None:
        """Run ``func`` under the lock as :meth:`run_callback` does, on a thread that does so for others, too.

        None where that is not for now: something runs in this session, or waits for its lock, or a client
        that did something a moment ago has it for itself.
        """
        context = Context()
        if not self._at_rest or not context.run(self._lock.take):
            return None
        self._waiting += 1
        work = self._begin(Work(func))
        return Call(self._execution, partial(self._call_noted, func), context, partial(self._called, work))

    @property
    def _at_rest(self) -> bool:
        if self._waiting or self._lock.taken or self._phase is not _Phase.WHOLE or self.lost:
            return False
        execution = self._execution
        if not execution.threaded or execution.at_work or not execution.quick or self.congested:
            return False
        return time.monotonic() - self._last_input >= AT_RISK_SECONDS

    def _call_noted(self, func: Callable[[], Any]) -> Any:
        if self._wakefulness.has_to_note:
            self._wakefulness.note()
        return func()

    def _called(self, work: Work, call: Call) -> None:
        """On the event loop, still with the lock."""
        if call.over:
            self.meter.callback_seconds.observe(call.seconds)
        try:
            self._worked(work)
        except Exception as error:  # noqa: BLE001 - it is raised below, as others have still to be told
            call.error = call.error or error
        if call.error is not None or self.congested or inspect.isawaitable(call.result):
            spawn(self._go_on(call.result, call.error))
        else:
            self._waiting -= 1
            self._lock.give_back()

    async def _go_on(self, result: Any, error: Exception | None) -> None:
        """What cannot be done at once of such a call."""
        try:
            if inspect.isawaitable(result) and not self.destroyed:
                await self._collecting(_awaited, result)
            elif not self.destroyed:
                await self._let_slow_connections_catch_up()
            if error is not None:
                raise error
        except AppCodeAbandoned as given_up:
            log.debug("a callback was given up: %s", given_up)
        finally:
            self._waiting -= 1
            self._lock.give_back()

    async def _note_before_clock(self, callback: Callable[..., Any]) -> None:
        """``callback`` follows from the app's own clock, not from its run."""
        if getattr(callback, "nolock", False):
            self._wakefulness.ran_unlocked()
        async with self._lock:
            if not self.destroyed:
                await self._execution.run(self._wakefulness.note)

    async def would_lose(self, coroutines: Iterable[dict[str, Any]]) -> str:
        """Why it must not sleep although it is idle, in words; "" if it would lose nothing.

        ``coroutines`` are the globals of all that are under way.
        """
        async with self._lock:
            if self.destroyed or self.journal is None:
                return "it is not kept in the store"
            return str(await self._execution.run(self._wakefulness.reason, self.journal, coroutines))

    @property
    def stays_awake(self) -> str:
        """What :meth:`would_lose` has found that holds for good; "" for nothing so far."""
        return self._wakefulness.found

    def changed_from_outside(self) -> None:
        """Code that is not its own has changed it, or is about to. On any thread."""
        self._wakefulness.changed_from_outside()

    async def apply(self, change: Callable[[], None], source: Client, content: Any = None) -> None:
        """Run ``change``, which comes from ``source`` and is not sent back there. Raises SessionMoved.

        ``content`` says what it changes, as far as that is known.
        """
        await self.for_client(self._apply, change, source, content)

    def needs_thread(self, content: Any) -> bool:
        """Whether this patch runs code of the app, and that on a thread."""
        return self._execution.threaded and runs_app_code(self.document, content, self._notes.page_is_drawn)

    def _runs_beyond_build(self, content: Any) -> bool:
        """Whether this patch runs code that is not run again with the app: what waits for the page is."""
        if content is None:
            return True
        return not is_page_drawn(content) and runs_app_code(self.document, content, self._notes.page_is_drawn)

    @property
    def free(self) -> bool:
        """Whether a change can be made and acknowledged right now, without waiting for anything."""
        if self._waiting or self._lock.taken or self.settles:
            return False
        return self._phase is _Phase.WHOLE and not self.slot.life.lost

    @property
    def settles(self) -> bool:
        """Whether clients wait until the store has what they changed."""
        return self._maintenance.settle is not None

    async def settle(self) -> None:
        """Wait until the store has what clients changed, where they shall wait for that."""
        if self._maintenance.settle is not None:
            await self._maintenance.settle(self)

    def apply_at_once(self, change: Callable[[], None], source: Client, content: Any = None) -> None:
        """As :meth:`apply`, for a session that is :attr:`free`: nothing else runs meanwhile.

        It may be :attr:`congested` afterwards, which the caller has to wait for.
        """
        with self._lock.at_once():
            work = self._begin(Work(change))
            began = time.monotonic()
            try:
                self._execution.call(self._apply, change, source, content)
            finally:
                self.meter.callback_seconds.observe(time.monotonic() - began)
                self._worked(work)

    def apply_on_thread(
        self, change: Callable[[], None], source: Client, content: Any = None
    ) -> Awaitable[None] | None:
        """As :meth:`apply_at_once`, on a thread. What to await where that takes longer than a moment."""
        self._lock.begin_turn()
        work = self._begin(Work(change))
        began = time.monotonic()
        try:
            working = self._execution.begin(self._apply, change, source, content)
        except BaseException:
            self._turn_worked(work, began)
            raise
        if working is None:
            self._turn_worked(work, began)
            return None
        rest = begin(self._finish_turn(working, work, began))
        self._lock.pass_turn()
        return rest

    def _turn_worked(self, work: Work, began: float) -> None:
        try:
            self.meter.callback_seconds.observe(time.monotonic() - began)
            self._worked(work)
        finally:
            self._lock.end_turn()

    async def _finish_turn(self, working: Awaitable[None], work: Work, began: float) -> None:
        self._waiting += 1
        try:
            async with self._lock.prolonged():
                try:
                    await working
                finally:
                    self.meter.callback_seconds.observe(time.monotonic() - began)
                    self._worked(work)
                    if not self.destroyed:
                        await self._let_slow_connections_catch_up()
        finally:
            self._waiting -= 1

    def _apply(self, change: Callable[[], None], source: Client, content: Any = None) -> None:
        work = self._work
        if work is None:
            raise AppCodeAbandoned("the session was given up before this could be done")
        work.source = source
        self._last_input = time.monotonic()
        self.context.state.work_begins()
        if self._wakefulness.has_to_note and self._runs_beyond_build(content):
            self._wakefulness.note()
        try:
            with following(self._execution.new_input()):
                self._notes.input_begins()
                change()
        finally:
            work.source = None
            self._notes.input_ends(self, held=self.held)

    async def _collecting(self, func: Callable[..., Any], *args: Any) -> Any:
        task = asyncio.current_task()
        work = self._begin(Work(func, task))
        began = time.monotonic()
        try:
            return await self._execution.run(func, *args)
        except asyncio.CancelledError:
            if self._phase is not _Phase.GIVEN_UP or task is None:
                raise
            task.uncancel()  # it was cancelled by give_up_code, and goes on to deal with the error
            raise AppCodeAbandoned("app code did not return in time") from None
        finally:
            self.meter.callback_seconds.observe(time.monotonic() - began)
            self._worked(work)
            if not self.destroyed:
                await self._let_slow_connections_catch_up()

    def _begin(self, work: Work) -> Work:
        self._work = work
        self._notes.work_begins()
        return work

    def _worked(self, work: Work) -> None:
        """Send what came of it, and see that it is journaled."""
        self._notes.work_ends()
        self._work = None
        if self._phase is _Phase.GIVEN_UP:
            return
        self._outbox.send(work.outbox)
        self._last_work = time.monotonic()
        self._notes.keep()

    def keep(self) -> None:
        """See that what is new is written to the store."""
        self._notes.keep()

    @property
    def congested(self) -> bool:
        """Whether a connection has much unsent."""
        return any(client.congested for client in self._clients)

    async def _let_slow_connections_catch_up(self) -> None:
        """Wait while a connection has much unsent, so that a streaming app cannot outrun it."""
        for client in [each for each in self._clients if each.congested]:
            await client.catch_up()

    # -- events of the Document (called by Bokeh's dispatch) -----------------------------------

    @property
    def _subscribed_connections(self) -> list[PanelConnection]:
        """What Panel (1.9) writes through when the Document is held. Without any, it forgets what changed."""
        watched = any(client.subscribed for client in tuple(self._clients))
        return [PanelConnection(self)] if watched or self.journal is not None else []

    @property
    def _pending_writes(self) -> list[Outgoing] | None:
        """Not None where Panel (1.10), off the event loop, may let changes take Bokeh's way to clients."""
        return self._work.outbox if self._work is not None and self._lock.locked() else None

    def send_at_once(self, events: Sequence[DocumentPatchedEvent]) -> None:
        """Send these changes, and before them those that wait for the lock to be given back."""
        if self.at_work and not self._lock.locked():
            # Not beside a thread that has the Document: in the next turn.
            on_loop(self._loop, self._send_later, events)
            return
        before = self._work
        self._work = now = Work(self.send_at_once, source=None if before is None else before.source)
        try:
            with nullcontext() if self._lock.locked() else self._lock.at_once():
                for event in events:
                    dispatch(self.document, event)
        finally:
            self._work = before
            if before is not None:
                waiting, before.outbox = before.outbox, []
                self._outbox.hurry(waiting)
            self._outbox.hurry(now.outbox)
            on_loop(self._loop, Session._send_early, self)

    def _send_early(self) -> None:
        """What is not to wait for the lock, perhaps of a thread that has it. What comes later follows."""
        if self._phase is _Phase.GIVEN_UP:
            return
        self._outbox.send()
        if not self.at_work:
            self._notes.keep()

    def _send_later(self, events: Sequence[DocumentPatchedEvent]) -> None:
        spawn(self.with_document_locked(self._dispatch_all, events))

    async def _dispatch_all(self, events: Sequence[DocumentPatchedEvent]) -> None:
        for event in events:
            dispatch(self.document, event)

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        work = self._work
        if work is None or self._phase is _Phase.GIVEN_UP or not self._lock.locked():
            raise RuntimeError(
                "the Document was changed without its lock: change it from a callback, or through "
                "doc.add_next_tick_callback when on a thread or in an unlocked callback"
            )
        setter: object = event.setter
        has_left = is_of_model_that_left(event)
        if setter is self or not has_left:  # an input may be repeated, whatever it has taken away
            self._notes.changed(event, is_input=setter is self)
        if has_left:
            return
        source = work.source if setter is self else None
        # Now, not when it is sent: who pushes a Document is not subscribed while it takes effect.
        # And a copy first, in one go, as connections come and go on the event loop meanwhile.
        receivers = [each for each in tuple(self._clients) if each.subscribed and each is not source]
        if receivers:
            content, copies = encode_patch(event)
            work.outbox.append((content, copies, receivers))
            self._notes.shown(event, copies)
        elif source is not None:
            note_patch(event)

    def _session_callback_added(self, event: SessionCallbackAdded) -> None:
        if not self._execution.is_own_code:
            self.changed_from_outside()
        self._notes.callback_changed(event.callback)
        self._callbacks.add(event.callback)

    def _session_callback_removed(self, event: SessionCallbackRemoved) -> None:
        self._notes.callback_changed(event.callback)
        self._callbacks.remove(event.callback)

    # -- connections ---------------------------------------------------------------------------

    async def disconnected(self) -> None:
        """Tell the Document that a connection is gone (event ``ConnectionLost``)."""
        if self.destroyed or not self.document.callbacks.event_callbacks_for_event_name("connection_lost"):
            return
        try:
            await self.with_document_locked(self._connection_lost)
        except AppCodeAbandoned as error:
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

    @property
    def puts_off_input(self) -> bool:
        """Whether what clients did has not had all its effect yet."""
        return self._callbacks.puts_off_input

    @property
    def may_pause(self) -> bool:
        """Whether all that is pending has to run only while somebody looks, and nobody can."""
        return self.app.pauses_unwatched and self._callbacks.only_periodic and self.unwatched_for() > 0

    def unwatched_for(self) -> float:
        """Seconds in which nobody can have seen a page of it."""
        return min((client.hidden_for() for client in self.slot.connections), default=self.slot.unused_for())

    def idle_for(self) -> float:
        """Seconds since anything last worked on the Document; 0 while something does.

        What may pause is no work.
        """
        if self._waiting or self.expiration_blocked:
            return 0.0
        now = time.monotonic()
        return min(self.unwatched_for(), now - self._last_input) if self.may_pause else now - self._last_work

    def unused_for(self) -> float:
        """Seconds without any connection or work; 0 while there is either, or the app wants it to stay."""
        if self._waiting or self.expiration_blocked:
            return 0.0
        unused_for = self.slot.unused_for()
        return math.inf if unused_for and self.expiration_requested else unused_for

    @property
    def milliseconds_since_last_unsubscribe(self) -> float:
        """Since the last connection was lost, or the session began without any."""
        return (time.monotonic() - self.slot.unused_since) * 1000

    # -- end -----------------------------------------------------------------------------------

    async def destroy(self, farewell: Callable[[], Awaitable[None]]) -> None:
        """Finish what runs, say ``farewell``, run the hooks and take the Document apart.

        ``farewell`` is where the last changes are written and the session is given up.
        """
        deadline = time.monotonic() + INPUT_SECONDS
        while not self.destroyed:
            if not self.lost:
                await self._callbacks.input_handled(within=max(0.0, deadline - time.monotonic()))
            async with self._lock:
                more_came = self._callbacks.puts_off_input and time.monotonic() < deadline
                if not self.destroyed and (self.lost or not more_came):
                    with logs.log_context(**self.key.facts):
                        await self._destroy(farewell)

    async def _destroy(self, farewell: Callable[[], Awaitable[None]]) -> None:
        self._phase = _Phase.ENDING
        self._callbacks.close()
        await self._let_go_of_changes()
        await farewell()
        self._work = Work(self._run_last_hooks)
        await self._run_last_hooks()
        dispose(self.document, self)
        self._work = None
        self._let_go()

    async def _run_last_hooks(self) -> None:
        await self.app.end(self.context, self._execution)

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

    def disown(self) -> None:
        """Let it go as it was last journaled, while code of its does not return.

        What that changes from here on is sent to nobody, and refused where Bokeh tells of it.
        """
        self._phase = _Phase.GIVEN_UP
        self._notes.stop()
        self._callbacks.close()

    def give_up_code(self) -> None:
        """Once it is disowned: who waits for its code, which may go on for ever, gets AppCodeAbandoned."""
        task = None if self._work is None else self._work.task
        if task is not None and not self._execution.at_work:  # a coroutine
            task.cancel()
        self._work = None
        if self._execution.threaded:
            self._execution.give_up()

    def _let_go(self) -> None:
        """Break the cycles through this session: its memory is then free at once, not at some collection."""
        self._notes.close()
        self.context.detach()
