"""Making a live session: running the app, and laying the stored journal over what it built."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from bokeh.document import Document

from service.apps.app import App
from service.apps.attempts import Attempt
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.panel_objects import PanelObjects
from service.apps.state import SessionState
from service.documents.disposal import dispose
from service.documents.entries import Stored
from service.documents.ids import IdSpace, new_document
from service.documents.journal import Journal
from service.documents.restore import Fidelity, Restorer
from service.documents.translation import Translation, is_foreign, translated
from service.errors import AppCodeAbandoned, AppError, MemoryExceeded, NotAuthorized
from service.memory import Growth, reclaim
from service.metrics import Metrics
from service.sessions.callback_check import CallbackCheck
from service.sessions.deferring import Deferred
from service.sessions.session import NO_MAINTENANCE, Maintenance, Session
from service.sessions.slot import Slot
from service.sessions.user_tokens import SessionTokens
from store.contract import JournalFields, PageRequest, SessionKey
from store.errors import RecordError

__all__ = ("Builder", "OwnershipGrant")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnershipGrant:
    """The right to let a session live here: what a successful claim gave."""

    key: SessionKey
    epoch: int
    request: PageRequest
    fields: JournalFields | None = None
    """The stored journal; None when this claim made the session."""
    replay: bool = True
    """Whether callbacks of its inputs may run again; see :mod:`service.sessions.crash_guard`."""
    most_memory: int = 0
    """Bytes that restoring it may take; 0 for any number."""


@dataclass(frozen=True, slots=True)
class _BuiltDocument:
    """A Document that its app has just built."""

    app: App
    context: AppSessionContext
    execution: Execution
    ids: IdSpace
    state: SessionState
    objects: PanelObjects
    journal: Journal

    @property
    def document(self) -> Document:
        return self.execution.document


class Builder:
    """Builds sessions; ``durable`` ones get a journal, those of authors who are ``developing`` a check."""

    def __init__(
        self,
        *,
        durable: bool,
        replay_inputs: bool,
        metrics: Metrics,
        developing: bool = False,
        maintenance: Maintenance = NO_MAINTENANCE,
        tokens: SessionTokens | None = None,
    ) -> None:
        self._maintenance = maintenance
        self._tokens = tokens
        self._check = CallbackCheck() if developing else None
        self._durable = durable
        self._replay_inputs = replay_inputs
        self._metrics = metrics

    async def build_alone(self, app: App, grant: OwnershipGrant) -> Session:
        """As :meth:`build`, a session that no registry knows."""
        slot: Slot[Session] = Slot(grant.key)
        slot.granted(grant.epoch, grant.request)
        session = await self.build(app, grant, slot, Attempt())
        slot.built(session)
        return session

    async def build(self, app: App, grant: OwnershipGrant, slot: Slot[Session], attempt: Attempt) -> Session:
        """The session in ``slot``, restored as far as its journal allows. ``attempt`` may be given up.

        Raises :class:`AppError` when the app's code fails, MemoryExceeded when restoring takes more than
        the grant allows; nothing is left behind then.
        """
        stored = _unpack(grant)
        if stored is not None and not grant.replay:
            stored.forget_inputs()
        if stored is not None:
            with self._metrics.app(app.path).restore_seconds.time():
                session = await self._restored(app, grant, stored, slot, attempt)
            if session is not None:
                return session
        draft = await self._draft(app, grant, stored, attempt)
        fidelity = None if grant.fields is None else Fidelity.FRESH
        losses: list[str] = []
        if fidelity is not None:
            draft.context.starts_over = True
            draft.journal.lost()
            if stored is not None and grant.replay:
                await self._tell_ready(grant, draft, stored)
            losses = _lost_with(grant, stored)
            log.log(
                logging.WARNING if losses else logging.INFO,
                "the session begins afresh%s",
                "".join(f"; lost: {each}" for each in losses),
                extra=grant.key.facts,
            )
        return self._session(slot, draft, fidelity, losses)

    async def _restored(
        self, app: App, grant: OwnershipGrant, stored: Stored, slot: Slot[Session], attempt: Attempt
    ) -> Session | None:
        """None when the journal cannot be laid over what the app builds now."""
        growth = Growth(grant.most_memory)
        draft = await self._draft(app, grant, stored, attempt, growth)
        losses: list[str] = []
        unwired: Callable[[], list[str]] = list
        try:
            growth.check()
            with draft.context.repeats():
                fidelity, unwired = await self._lay_over(grant, draft, stored, losses, growth)
            growth.check()
        except MemoryExceeded:
            await self._let_go(draft)
            reclaim()
            raise
        except AppCodeAbandoned:
            raise
        except Exception:
            # Whatever it was, a Document half restored must not be shown.
            log.exception("restoring failed", extra=grant.key.facts)
            fidelity = Fidelity.FRESH
        draft.ids.tracked = None
        if fidelity is Fidelity.FRESH:
            await self._let_go(draft)
            return None
        session = self._session(slot, draft, fidelity, losses)
        try:
            await session.with_document_locked(app.restored, draft.context, draft.execution)
        except BaseException:  # it is given up, and its timers must not go on
            session.disown()
            raise
        self._name_unwired(session, unwired())
        return session

    async def _let_go(self, draft: _BuiltDocument) -> None:
        await draft.app.end(draft.context, draft.execution)
        dispose(draft.document)
        draft.context.detach()

    async def _lay_over(
        self, grant: OwnershipGrant, draft: _BuiltDocument, stored: Stored, losses: list[str], growth: Growth
    ) -> tuple[Fidelity, Callable[[], list[str]]]:
        """How much came back, and what tells which callbacks did not, once the app's hooks have run.

        ``losses`` gets what could not be restored, in words.
        """
        same_code = stored.meta.version == draft.app.version
        foreign = same_code and not stored.meta.pushed and is_foreign(stored)
        if foreign:
            translation = await draft.execution.run(translated, stored, draft.document, draft.ids, build=True)
            stored = translation.stored
            losses += translation.losses
            self._name_translation(grant, translation)
        deferred = Deferred(draft.document, draft.execution)
        restorer = self._restorer(grant, draft, stored, deferred, growth)
        built = dict(draft.state.values_by_key)
        draft.state.restore({**built, **stored.state})
        with deferred.watching():
            fidelity = await restorer.restore(draft.app.version)
        draft.context.starts_over = fidelity is not Fidelity.EXACT
        completed = False
        if fidelity is Fidelity.EXACT and not foreign:
            with growth.counted():
                completed = await self._restore_objects(draft, deferred, stored)
        # What replayed callbacks made of it was in there already.
        own_losses = restorer.losses.take()
        self._name_losses(grant, own_losses)
        losses += own_losses
        draft.state.restore(stored.state if fidelity is Fidelity.EXACT else {**built, **stored.state})
        failed = restorer.failed_inputs or deferred.failed
        if fidelity is Fidelity.EXACT and not failed and not restorer.losses:
            draft.journal.resume(stored)
            outdated = grant.fields is not None and grant.fields.outdated
            if foreign or completed or outdated or not grant.replay:
                # The store has it in other terms; or the next replica shall not run the inputs again either.
                draft.journal.lost(is_another=foreign or completed)
        else:
            draft.journal.lost(is_another=True)
            draft.journal.begin_with(restorer.inputs, restorer.ready)
        unwired = list if fidelity is Fidelity.PARTIAL else restorer.unwired
        return Fidelity.PARTIAL if foreign and losses else fidelity, unwired

    def _restorer(
        self, grant: OwnershipGrant, draft: _BuiltDocument, stored: Stored, deferred: Deferred, growth: Growth
    ) -> Restorer:
        return Restorer(
            draft.document,
            draft.ids,
            stored,
            run=partial(draft.execution.run, build=True),
            settle=deferred.done,
            set_state=draft.state.change,
            growth=growth,
            replay=self._replay_inputs and grant.replay,
            replay_more=draft.objects.replaying(draft.document, stored.objects),
            not_replayed=partial(draft.objects.not_replayed, draft.document),
        )

    async def _tell_ready(self, grant: OwnershipGrant, draft: _BuiltDocument, stored: Stored) -> None:
        """The page that comes back was drawn before, and does not say so again."""
        deferred = Deferred(draft.document, draft.execution)
        restorer = self._restorer(grant, draft, stored, deferred, Growth(0))
        with deferred.watching(), draft.context.repeats():
            await restorer.tell_ready()
        draft.journal.begin_with({}, restorer.ready)

    def _name_unwired(self, session: Session, unwired: list[str]) -> None:
        if unwired:
            text = "; ".join(unwired)
            log.warning("callbacks were lost as the session moved: %s", text, extra=session.key.facts)
            session.meter.callbacks_lost.inc(len(unwired))
            session.pages.callbacks_lost()

    async def _restore_objects(self, draft: _BuiltDocument, deferred: Deferred, stored: Stored) -> bool:
        """Whether the Document is another one than that of the journal by now."""
        arguments = draft.document, stored.objects
        await draft.execution.run(draft.objects.restore, *arguments, build=True)
        completed: bool = await draft.execution.run(draft.objects.complete, *arguments, build=True)
        await deferred.done()
        return completed

    def _name_translation(self, grant: OwnershipGrant, translation: Translation) -> None:
        if translation.losses:
            log.warning(
                "the session was restored without %s", "; ".join(translation.losses), extra=grant.key.facts
            )
        if translation.dropped:
            text = "; ".join(translation.dropped)
            log.warning("this version of the app has no counterpart for %s", text, extra=grant.key.facts)

    def _name_losses(self, grant: OwnershipGrant, losses: list[str]) -> None:
        for loss in losses:
            log.warning("this value could not be read back: %s", loss, extra=grant.key.facts)
        self._metrics.values_lost.labels("read").inc(len(losses))

    async def _draft(
        self,
        app: App,
        grant: OwnershipGrant,
        stored: Stored | None,
        attempt: Attempt,
        growth: Growth | None = None,
    ) -> _BuiltDocument:
        """With a ``growth`` what is stored will be laid over it."""
        try:
            return await self._drafted(app, grant, stored, attempt, growth)
        except NotAuthorized as error:
            log.warning("a session is refused: %s", error, extra=grant.key.facts)
            raise
        except AppError as error:
            log.error("the app failed: %s\n%s", error.message, error.detail, extra=grant.key.facts)
            raise

    async def _drafted(
        self, app: App, grant: OwnershipGrant, stored: Stored | None, attempt: Attempt, growth: Growth | None
    ) -> _BuiltDocument:
        known_as_panels = app.panel
        try:
            draft = await self._run(app, grant, stored, attempt, growth)
        except AppError:
            if app.panel == known_as_panels:
                raise
        else:
            if app.panel == known_as_panels:
                return draft
            await self._let_go(draft)
        # Its code has turned out to use Panel, which prepares runs of such: once more, and never again.
        return await self._run(app, grant, stored, attempt, growth)

    async def _run(
        self, app: App, grant: OwnershipGrant, stored: Stored | None, attempt: Attempt, growth: Growth | None
    ) -> _BuiltDocument:
        ids = IdSpace(grant.key.tag)
        ids.tracked = None if growth is None else {}
        # What an app's first run here loads is for all its sessions.
        counted = growth.counted() if growth is not None and app.built else nullcontext()
        document = new_document(ids)
        state = SessionState(deepcopy(stored.state) if stored else {})
        request = grant.request if self._tokens is None else await self._tokens.given_to(grant.request)
        context = AppSessionContext(
            grant.key.session_id, app.server_context, document, request, app.logout_url, state=state
        )
        if self._tokens is not None:
            self._tokens.watch(context, request)
        execution = Execution(
            app.imports, ids, document, grant.key.facts, workers=app.workers, app=app.server_context
        )
        attempt.runs_with(execution)
        try:
            with self._metrics.app(app.path).running(), counted:
                await app.build(context, execution)
        except BaseException as error:
            context.detach()
            if isinstance(error, AppError):  # else its code may go on
                dispose(document)
            raise
        ids.built()
        objects = PanelObjects(ids)
        journal = Journal(
            document,
            ids,
            state.values_by_key,
            version=app.version,
            state_before=state.before,
            objects=objects,
        )
        return _BuiltDocument(app, context, execution, ids, state, objects, journal)

    def _session(
        self,
        slot: Slot[Session],
        draft: _BuiltDocument,
        fidelity: Fidelity | None,
        losses: Sequence[str] = (),
    ) -> Session:
        journal = draft.journal if self._durable else None
        meter = self._metrics.app(draft.app.path)
        meter.opens.inc()
        if fidelity is not None:
            self._metrics.claims.labels(f"restore_{fidelity}").inc()
        return Session(
            slot, draft.app, draft.context, draft.execution, meter=meter, maintenance=self._maintenance,
            journal=journal, fidelity=fidelity, losses=losses, check=self._check,
        )  # fmt: skip


def _lost_with(grant: OwnershipGrant, stored: Stored | None) -> list[str]:
    """What clients had set, in words, as far as it can be read."""
    if stored is None:
        there_was = grant.fields is not None and (grant.fields or grant.fields.damage)
        return ["what was entered, which cannot be read"] if there_was else []
    return [value.place(*key) for key, value in stored.values.items() if value.is_input]


def _unpack(grant: OwnershipGrant) -> Stored | None:
    try:
        if grant.fields is not None and grant.fields.damage:
            raise RecordError(grant.fields.damage)
        return Stored.unpack(grant.fields or {})
    except RecordError as error:
        log.error("the session's journal cannot be read: %s", error, extra=grant.key.facts)
        return None
