"""Sessions built, journaled and restored by the real parts, without sockets and without a store.

A :class:`Run` is one life of a session; :meth:`Run.restored` begins its next life from the fields
that were taken until then, as another replica would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.model import Model

from service.apps.app import App
from service.apps.loading import apps_from_applications, load_apps
from service.documents import classes, curdoc, ids, shortcuts, wiring
from service.documents.base import taken_apart
from service.documents.encoding import apply_patch, encode_document, replace_document
from service.documents.entries import Base
from service.documents.journal import Changes
from service.documents.shape import type_name
from service.documents.values import ValueWriter
from service.metrics import Metrics
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.registry import Registry
from service.sessions.session import NO_MAINTENANCE, Maintenance, Session
from service.sessions.slot import Slot
from store.contract import JournalFields, PageRequest, SessionKey
from store.records import pack_entry, unpack_entry

SESSION = "a session"


def app_of(what: Callable[..., None] | str) -> App:
    """The app of a function or of a path."""
    ids.install()
    curdoc.install()
    shortcuts.install()
    classes.install()
    wiring.install()
    if isinstance(what, str):
        (app,) = load_apps([what]).values()
        return app
    return apps_from_applications({"/app": Application(FunctionHandler(what))})["/app"]


async def built(registry: Registry, grant: OwnershipGrant) -> Session:
    """A session that lives in the registry, as after a claim that gave the grant."""

    async def build(slot: Slot[Session]) -> Session:
        slot.granted(grant.epoch, grant.request)
        return await registry.build(slot, grant)

    found = await registry.find(grant.key)
    if found is None:
        found = await registry.open(grant.key, build)
    assert found is not None
    return found


async def say_nothing() -> None:
    """A farewell without a store and without clients."""


class Run:
    """One life of a session; ``stored`` are the fields of its journal in the store."""

    def __init__(self, app: App, session: Session, stored: dict[str, bytes], replay_inputs: bool) -> None:
        self.app = app
        self.session = session
        self.stored = stored
        self.written = 0
        """Bytes put into the store in this life."""
        self._replay_inputs = replay_inputs

    @classmethod
    async def begin(
        cls,
        app: App,
        stored: Mapping[str, bytes] | None = None,
        *,
        replay_inputs: bool = True,
        name: str = SESSION,
        epoch: int = 1,
        maintenance: Maintenance = NO_MAINTENANCE,
    ) -> Run:
        """Build the session; with ``stored`` as the next owner does."""
        builder = Builder(
            durable=True, replay_inputs=replay_inputs, metrics=Metrics(), maintenance=maintenance
        )
        fields = None if stored is None else JournalFields(stored)
        grant = OwnershipGrant(SessionKey(app.path, name), epoch, PageRequest(), fields)
        session = await builder.build_alone(app, grant)
        return cls(app, session, dict(stored or {}), replay_inputs)

    async def restored(self, app: App | None = None) -> Run:
        return await self.begin(app or self.app, self.stored, replay_inputs=self._replay_inputs)

    async def end(self) -> None:
        await self.session.destroy(say_nothing)

    # -- what happens to it --------------------------------------------------------------------

    async def pull(self) -> None:
        """A client gets to see the Document."""
        await self.session.with_document_locked(self._pull)

    def _pull(self) -> None:
        assert self.session.journal is not None
        self.session.journal.pulled(*encode_document(self.session.document, inline=False))

    async def push(self, content: Any) -> None:
        """A client pushes a Document."""
        await self.session.with_document_locked(self._push, content)

    def _push(self, content: Any) -> None:
        assert self.session.journal is not None
        replace_document(self.session.document, content, ())
        self.session.journal.pushed()

    async def sent(self, *changes: tuple[str, str, Any]) -> None:
        """One patch of a client with these changes: model's name, attribute, value."""
        events = [
            {"kind": "ModelChanged", "model": {"id": self[name].id}, "attr": attr, "new": value}
            for name, attr, value in changes
        ]
        await self.patched({"events": events})

    async def patched(self, content: Any) -> None:
        def apply() -> None:
            apply_patch(self.session.document, content, (), self.session)

        a_client: Any = object()
        await self.session.apply(apply, a_client, content)

    async def do(self, change: Callable[..., Any], *args: Any) -> Any:
        """Run ``change`` as a callback of the app."""
        return await self.session.with_document_locked(change, *args)

    def take(self) -> Changes:
        """Write what was noted."""
        assert self.session.journal is not None
        changes = self.session.journal.take()
        if changes.whole:
            self.stored.clear()
        for name in changes.remove:
            self.stored.pop(name, None)
        self.stored.update({name: bytes(data) for name, data in changes.put.items()})
        self.written += sum(len(name) + len(data) for name, data in changes.put.items())
        return changes

    # -- what it looks like --------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        model = self.session.document.get_model_by_name(name)
        assert model is not None, f"no model {name}"
        return model

    def __contains__(self, name: str) -> bool:
        return self.session.document.get_model_by_name(name) is not None

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.session.context.state)

    def as_seen(self) -> dict[str, Any]:
        """What a client that connects now gets: models by id with what BokehJS is told of them."""
        return taken_apart(Base(*encode_document(self.session.document, inline=False)))

    def as_is(self) -> dict[str, Any]:
        """All there is, as Python has it."""
        document = self.session.document
        return {
            "title": document.title,
            "roots": [root.id for root in document.roots],
            "theme": document.theme._json,
            "state": self.state,
            "models": {model.id: _attributes(model) for model in document.models},
        }


class Renumbered:
    """What runs look like, without the random numbers that are in the ids of what followed from inputs."""

    def __init__(self, run: Run) -> None:
        self._names: dict[str, str] = {}
        is_ = run.as_is()
        models, due, done = is_["models"], list(is_["roots"]), set()
        while due:  # in an order that the same Documents have in common
            model_id = due.pop(0)
            if model_id in models and model_id not in done:
                done.add(model_id)
                found = _OF_INPUT.match(model_id)
                if found:
                    self._names.setdefault(found[1], f"{found[1].partition('-')[0]}-({len(self._names)})i")
                due += _ANY_ID.findall(repr(sorted(models[model_id].items())))
        self.as_is = self._renamed(is_)
        self.as_seen = self._renamed(run.as_seen())

    def _renamed(self, value: Any) -> Any:
        match value:
            case str():
                return _OF_INPUT.sub(lambda found: self._names.get(found[1], found[1]), value)
            case list():
                return [self._renamed(item) for item in value]
            case dict():
                return {self._renamed(key): self._renamed(item) for key, item in value.items()}
        return value


_ANY_ID = re.compile(r"p[0-9a-f]{8}-[0-9a-z]+")
_OF_INPUT = re.compile(r"(p[0-9a-f]{8}-[0-9a-f]+i)(?=\d)")


def _attributes(model: Model) -> dict[str, Any]:
    values = model.properties_with_values(include_defaults=True)
    return {"type": type_name(model), **{name: _plain(value) for name, value in values.items()}}


def _plain(value: Any) -> Any:
    return repr(unpack_entry(pack_entry(ValueWriter().encode(value))))  # as text, so that NaN equals NaN
