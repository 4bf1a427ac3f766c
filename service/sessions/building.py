"""Making a live session: running the app, and laying the stored journal over what it built."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from bokeh.document import Document

from service.apps.app import App
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.panel_objects import read_objects, restore_objects
from service.apps.state import SessionState
from service.documents.disposal import dispose
from service.documents.entries import Stored
from service.documents.ids import IdSpace, new_document
from service.documents.journal import Journal
from service.documents.restore import Fidelity, Restorer
from service.errors import AppError, NotAuthorized
from service.metrics import Metrics
from service.sessions.deferring import Deferred
from service.sessions.session import Session
from store.contract import PageRequest, SessionKey
from store.errors import RecordError

__all__ = ("Builder", "Grant")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to let a session live here: what a successful claim gave."""

    key: SessionKey
    epoch: int
    request: PageRequest
    fields: Mapping[str, bytes] | None = None
    """The stored journal; None when this claim made the session."""
    replay: bool = True
    """Whether callbacks of its inputs may run again; see :mod:`service.sessions.brake`."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A Document that its app has just built."""

    app: App
    context: AppSessionContext
    execution: Execution
    ids: IdSpace
    state: SessionState
    journal: Journal

    @property
    def document(self) -> Document:
        return self.execution.document


class Builder:
    """Builds sessions; ``durable`` ones get a journal."""

    def __init__(self, *, durable: bool, replay_inputs: bool, metrics: Metrics) -> None:
        self._durable = durable
        self._replay_inputs = replay_inputs
        self._metrics = metrics

    async def build(self, app: App, grant: Grant) -> Session:
        """The session, restored as far as its journal allows.

        Raises :class:`AppError` when the app's code fails; nothing is left behind then.
        """
        stored = _unpack(grant)
        if stored is not None and not grant.replay:
            stored.forget_inputs()
        if stored is not None:
            with self._metrics.app(app.path).restore_seconds.time():
                session = await self._restored(app, grant, stored)
            if session is not None:
                return session
        draft = await self._draft(app, grant, stored)
        fidelity = None if grant.fields is None else Fidelity.FRESH
        if fidelity is not None:
            draft.journal.lost()
            log.info("the session begins afresh", extra=grant.key.facts)
        return self._session(grant, draft, fidelity)

    async def _restored(self, app: App, grant: Grant, stored: Stored) -> Session | None:
        """None when the journal cannot be laid over what the app builds now."""
        draft = await self._draft(app, grant, stored, track=True)
        try:
            fidelity = await self._lay_over(grant, draft, stored)
        except Exception:
            # Whatever it was, a Document half restored must not be shown.
            log.exception("restoring failed", extra=grant.key.facts)
            fidelity = Fidelity.FRESH
        draft.ids.tracked = None
        if fidelity is Fidelity.FRESH:
            await app.end(draft.context, draft.execution)
            dispose(draft.document)
            return None
        session = self._session(grant, draft, fidelity)
        await session.with_document_locked(app.restored, draft.context, draft.execution)
        return session

    async def _lay_over(self, grant: Grant, draft: _Draft, stored: Stored) -> Fidelity:
        deferred = Deferred(draft.document, draft.execution)
        restorer = Restorer(
            draft.document,
            draft.ids,
            stored,
            run=draft.execution.call,
            settle=deferred.done,
            replay=self._replay_inputs and grant.replay,
        )
        built = dict(draft.state)
        draft.state.restore({**built, **stored.state})
        fidelity = await restorer.restore(draft.app.version)
        if fidelity is Fidelity.EXACT:
            draft.execution.call(restore_objects, draft.document, stored.objects)
        # What replayed callbacks made of it was in there already.
        self._name_losses(grant, restorer.losses.take())
        draft.state.restore(stored.state if fidelity is Fidelity.EXACT else {**built, **stored.state})
        failed = restorer.failed_inputs or deferred.failed
        if fidelity is Fidelity.EXACT and not failed and not restorer.losses:
            draft.journal.resume(stored)
            if not grant.replay:
                draft.journal.lost()  # the next replica shall not run them again either
        else:
            draft.journal.lost()
        return fidelity

    def _name_losses(self, grant: Grant, losses: list[str]) -> None:
        for loss in losses:
            log.warning("this value could not be read back: %s", loss, extra=grant.key.facts)
        self._metrics.values_lost.labels("read").inc(len(losses))

    async def _draft(self, app: App, grant: Grant, stored: Stored | None, *, track: bool = False) -> _Draft:
        ids = IdSpace(grant.key.tag)
        ids.tracked = {} if track else None
        document = new_document(ids)
        state = SessionState(deepcopy(stored.state) if stored else {})
        context = AppSessionContext(
            grant.key.session_id, app.server_context, document, grant.request, app.logout_url, state=state
        )
        execution = Execution(app.imports, ids, document)
        try:
            with self._metrics.app(app.path).running():
                await app.build(context, execution)
        except NotAuthorized as error:
            log.warning("a session is refused: %s", error, extra=grant.key.facts)
            dispose(document)
            raise
        except AppError as error:
            log.error("the app failed: %s\n%s", error.message, error.detail, extra=grant.key.facts)
            dispose(document)
            raise
        ids.built()
        journal = Journal(document, ids, state, version=app.version, read_objects=read_objects)
        return _Draft(app, context, execution, ids, state, journal)

    def _session(self, grant: Grant, draft: _Draft, fidelity: Fidelity | None) -> Session:
        journal = draft.journal if self._durable else None
        meter = self._metrics.app(draft.app.path)
        meter.opens.inc()
        if fidelity is not None:
            self._metrics.claims.labels(f"restore_{fidelity}").inc()
        return Session(
            grant.key, grant.epoch, grant.request, draft.app, draft.context, draft.execution,
            journal=journal, fidelity=fidelity, meter=meter,
        )  # fmt: skip


def _unpack(grant: Grant) -> Stored | None:
    try:
        return Stored.unpack(grant.fields or {})
    except RecordError as error:
        log.error("the session's journal cannot be read: %s", error, extra=grant.key.facts)
        return None
