"""Laying a stored journal over a Document that the app just built anew.

First the base silently, then the clients' inputs in their order with the app's callbacks, so that
the app's own objects agree with them, then everything silently again: what the callbacks made
last time is what the user saw. A Document of another shape gets its named inputs only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.serialization import DeserializationError, UnknownReferenceError
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.model import Model
from bokeh.models.sources import ColumnarDataSource
from bokeh.themes import Theme

from service.documents.base import Differences
from service.documents.encoding import replace_document
from service.documents.entries import Base, Chunk, Stored, Value
from service.documents.history import MAX_STATE_BYTES
from service.documents.identical import set_exactly
from service.documents.ids import IdSpace, InputIds
from service.documents.losses import Losses, columns_or_gaps, place_of, reading
from service.documents.shape import known_as, model_class, shape_of, type_name
from service.documents.undoing import Undoing
from service.documents.unpacking import MAX_RECORD_BYTES, unpacked_at_most
from service.documents.value_errors import value_errors
from service.documents.values import ValueReader, reason_of
from service.documents.wiring import (
    PERIODIC,
    Input,
    drop_mistaken,
    drop_periodic,
    following,
    label_of,
    periodic_wires,
    wires_of,
)
from service.errors import AppCodeAbandoned
from service.lines import line
from service.memory import Growth

__all__ = ("Fidelity", "Restorer")

log = logging.getLogger(__name__)


class Fidelity(StrEnum):
    """How much of a session came back."""

    EXACT = "exact"
    PARTIAL = "partial"
    """The app changed in between: inputs of named models, and the app's own state."""
    FRESH = "fresh"
    """Nothing that could be laid over this run."""


class Restorer:
    """Restores one Document.

    ``run`` runs app code with its context, ``settle`` what that has put off; ``set_state`` changes the app's
    own state. Who calls gives that its last values afterwards. ``replay_more`` does again what clients did
    besides setting properties; None: there was nothing. Inputs of models that ``not_replayed`` names are only
    laid over at the end.

    Raises MemoryExceeded between two inputs when ``growth`` is beyond its limit.
    """

    def __init__(
        self,
        document: Document,
        ids: IdSpace,
        stored: Stored,
        *,
        run: Callable[..., Awaitable[Any]],
        settle: Callable[[], Awaitable[None]],
        set_state: Callable[[Mapping[str, bytes | None]], None],
        growth: Growth | None = None,
        replay: bool = True,
        replay_more: Callable[[], None] | None = None,
        not_replayed: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._document = document
        self._ids = ids
        self._stored = stored
        self._run = run
        self._settle = settle
        self._set_state = set_state
        self._growth = growth or Growth(0)
        self._replay_inputs = replay
        self._replay_more = replay_more
        self._not_replayed = not_replayed
        self._models: dict[str, Model] = {}
        self._undoing: Undoing | None = None
        self._repeated: list[InputIds] = []
        self._unresolved: list[tuple[Model, UnknownReferenceError]] = []
        self.failed_inputs = 0
        """Inputs whose callbacks raised."""
        self.inputs: Mapping[tuple[str, str], Value] = {}
        """Those of clients that are in the Document now, by the ids that their models have here."""
        self.ready: int | None = None
        """The id counter when the app was told that its page is drawn."""
        self.losses = Losses()
        for field, reason in stored.damaged.items():
            self.losses.add(f"field {field:.200}", reason)

    async def restore(self, version: str) -> Fidelity:
        """Lay the journal over the Document, whose app has just run and is of ``version``."""
        meta = self._stored.meta
        if meta.pushed:
            await self._run(self._restore_pushed)
            return Fidelity.EXACT
        try:
            if meta.version != version or meta.shape != shape_of(self._document, self._ids):
                return await self._restore_named()
            await self._restore_exactly()
            self.inputs = {key: value for key, value in self._stored.values.items() if value.is_input}
            self.ready = meta.ready
            return Fidelity.EXACT
        finally:
            for ids in self._repeated:
                ids.over = True

    @property
    def _has_inputs(self) -> bool:
        return (
            self._stored.meta.ready is not None
            or bool(self._stored.history)
            or self._replay_more is not None
            or any(value.is_input for value in self._stored.values.values())
        )

    # -- the ways to restore -------------------------------------------------------------------

    def _restore_pushed(self) -> None:
        if self._stored.base is not None:
            base = self._stored.base
            with self._silently(), unpacked_at_most(MAX_RECORD_BYTES):
                replace_document(self._document, json.loads(base.content), base.buffers)
        self._overlay()
        self._check_unresolved()
        self._ids.count = max(self._ids.count, self._stored.meta.ids)

    async def _restore_exactly(self) -> None:
        self._models = self._ids.tracked if self._ids.tracked is not None else {}
        await self._settle()  # what the app itself has put off comes before all that the journal tells of
        if self._stored.base is not None:
            with self._growth.counted():
                await self._run(self._lay_base, self._stored.base)
        if self._replay_inputs and self._has_inputs:
            self._undoing = Undoing(self._document)
            with self._undoing.watching():
                await self.tell_ready()
                await self._replay(self._stored.values)
                await self._replay_others()
        self._ids.count = count = max(self._ids.count, self._stored.meta.ids)
        with self._growth.counted():
            await self._run(self._overlay)
        self._check_unresolved()
        # Models that are made only to be given what is in the journal bring others along, which go again.
        used = (self._ids.number(model.id) for model in self._document.models)
        self._ids.count = max(count, *used, 0)
        self._stop_periodic()

    def _check_unresolved(self) -> None:
        """Raises UnknownReferenceError when a model of the Document refers to one that is not there."""
        for model, error in self._unresolved:
            if self._document.models.get_by_id(model.id) is model:
                raise error

    def _stop_periodic(self) -> None:
        """What an input has started may have stopped by itself since."""
        if any(PERIODIC in past.wired for past in self._stored.history.values()):
            kept = [wire[:2] for wire in self._stored.callbacks.get(PERIODIC, ())]
            drop_periodic(self._document, kept)

    def unwired(self) -> list[str]:
        """The callbacks that were there and are not, in words."""
        return [
            f"{kind} of {self._label(model_id)}, which called {place}"
            for model_id, wires in self._stored.callbacks.items()
            if (present := self._kinds(model_id)) is not None
            for kind, place, _ in wires
            if kind not in present
        ]

    def _kinds(self, model_id: str) -> set[str] | None:
        """What callbacks wait for; None for a model that is not in the Document."""
        if model_id == PERIODIC:
            return {kind for kind, _, _ in periodic_wires(self._document)}
        model = self._document.models.get_by_id(ID(model_id))
        return None if model is None else {kind for kind, _, _ in wires_of(model)}

    def _label(self, model_id: str) -> str:
        model = self._document.models.get_by_id(ID(model_id))
        return "this page" if model is None else label_of(model)

    async def _restore_named(self) -> Fidelity:
        """Inputs of models that have a name, or a title, and still the same type."""
        matched = self._matched_by_name()
        known = {
            (matched[model_id], attr): value
            for (model_id, attr), value in self._stored.values.items()
            if value.is_input and model_id in matched
        }
        taken = {id(value) for value in known.values()}
        lost = [each for each in self._stored.values.items() if each[1].is_input and id(each[1]) not in taken]
        for key, value in lost:
            self.losses.add(value.place(*key), "the app has no such part any more")
        if not known and not self._stored.state:
            return Fidelity.FRESH
        if self._replay_inputs:
            await self.tell_ready()
            await self._replay(known, with_ids=False)
        else:
            await self._run(self._lay_inputs, known)
        self.inputs = known
        return Fidelity.PARTIAL

    def _lay_inputs(self, values: Mapping[tuple[str, str], Value]) -> None:
        with self._silently():
            for (model_id, attr), value in values.items():
                self._lay_encoded(self._known(model_id), attr, value.value)

    def _matched_by_name(self) -> dict[str, str]:
        """The model of this run for that of a stored input, if only one on either side has its name."""
        now: dict[Any, set[str]] = {}
        then: dict[Any, set[str]] = {}
        for model in self._document.models:
            now.setdefault((known_as(model), type_name(model)), set()).add(model.id)
        for (model_id, _), value in self._stored.values.items():
            if value.is_input and value.name is not None:
                then.setdefault((value.name, value.type), set()).add(model_id)
        both = ((ids, now.get(key, set())) for key, ids in then.items())
        return {
            old: new for olds, news in both if len(olds) == len(news) == 1 for old in olds for new in news
        }

    def _lay_base(self, base: Base) -> None:
        with self._silently():
            self._restore_theme()
            found = Differences(
                self._document, base, self._stored.exact,
                noted=self._stored.values, losses=self.losses, reader=self._reader(),
            )  # fmt: skip
            for model, attr, value in found:
                if not self._comes_as_input(model, attr, value):
                    self._lay(model, attr, lambda value=value: value)  # type: ignore[misc]
            self._unresolved = found.unresolved

    def _comes_as_input(self, model: Model, attr: str, value: Any) -> bool:
        """Where the base is younger than the input it has its value: laid silently, no callback would run."""
        noted = self._stored.values.get((model.id, attr))
        if noted is None or not noted.is_input or not self._replay_inputs:
            return False
        try:
            return bool(self._read(noted.value) == value)
        except (
            DeserializationError,
            ValueError,
        ):  # cannot be read, or are arrays: the last word is the overlay's
            return False

    # -- inputs --------------------------------------------------------------------------------

    async def tell_ready(self) -> None:
        """Tell the app that the page is drawn, which BokehJS (3.9) does once, and not when it comes back.

        Panel (1.9) calls what waits for the page; until then HoloViews' plots do not follow their streams.
        """
        ready = self._stored.meta.ready
        if ready is None:
            return
        if ready >= 0:
            ready = max(self._ids.count, ready)
        self.ready = ready
        try:
            with self._growth.counted(), self._following(ready):
                await self._run(self._document.callbacks.trigger_event, DocumentReady())
                await self._settle()
        except AppCodeAbandoned:
            raise
        except Exception:
            self.failed_inputs += 1
            log.exception("a callback that waited for the page failed")

    async def _replay(self, values: dict[tuple[str, str], Value], *, with_ids: bool = True) -> None:
        done = await self._replay_history() if with_ids else ()
        inputs = [
            (key, value) for key, value in values.items() if value.is_input and value.sequence not in done
        ]
        inputs.sort(key=lambda item: item[1].sequence)
        silent = await self._run(self._not_replayed)
        attributes: dict[str, list[str]] = {}
        for (model_id, attr), _ in inputs:
            attributes.setdefault(model_id, []).append(attr)
        for (model_id, attr), value in inputs:
            model = self._document.models.get_by_id(ID(model_id))
            if model is None or model_id in silent:
                continue
            place = value.ids_before if with_ids else None
            if place is None:
                value.ids_before = self._ids.count
            try:
                with self._growth.counted(), self._following(place):
                    await self._replay_input(model, attr, value, attributes[model_id])
            except AppCodeAbandoned:
                raise
            except Exception:
                self.failed_inputs += 1
                log.exception("replaying the input %s of %s failed", attr, value.type)
            self._growth.check()

    async def _replay_input(self, model: Model, attr: str, value: Value, attributes: Sequence[str]) -> None:
        await self._run(model.set_from_json, attr, self._read(value.value))
        if attr == attributes[-1]:
            await self._replay_event(model, attributes)
        await self._settle()

    async def _replay_history(self) -> Collection[int]:
        """Repeat what made controls; the sequence numbers of the values that were set."""
        done: set[int] = set()
        self._forget_state()
        silent = await self._run(self._not_replayed)
        for past in self._stored.history.values():
            self._set_state(past.state)
            for model_id, attr, sequence, ids_before, value in past.values:
                model = self._find(model_id)
                if model is not None and model_id not in silent:
                    done.add(sequence)
                    await self._repeat(ids_before, partial(self._set_input, model, attr, value))
            for ids_before, event in past.events:
                await self._repeat(ids_before, partial(self._trigger, event))
            for model_id in past.wired:
                model = self._find(model_id)
                if model is not None:
                    drop_mistaken(model, self._stored.callbacks.get(model_id, ()))
        return done

    def _forget_state(self) -> None:
        """The inputs bring along what they found; of what is not kept with them they find the last value."""
        if self._stored.history:
            sizes = self._stored.sizes
            self._set_state({key: None for key in self._stored.state if sizes[f"a:{key}"] <= MAX_STATE_BYTES})

    async def _repeat(self, ids_before: int, what: Callable[[], None]) -> None:
        try:
            with self._growth.counted(), self._following(ids_before):
                await self._run(what)
                await self._settle()
        except AppCodeAbandoned:
            raise
        except Exception:
            self.failed_inputs += 1
            log.exception("repeating an input that made controls failed")
        self._growth.check()

    @contextmanager
    def _following(self, place: int | None) -> Iterator[None]:
        """Repeat an input with the ids that it had then; None: with any."""
        if place is None or place >= 0:
            # Releases were here that had one count for the app's run and all inputs.
            self._ids.count = max(place or 0, self._stored.meta.initial if place else self._ids.count)
            yield
            return
        ids = self._ids.of_input(place)
        self._repeated.append(ids)
        with following(Input(ids)):
            yield

    async def _replay_others(self) -> None:
        if self._replay_more is None:
            return
        try:
            with self._growth.counted():
                await self._run(self._replay_more)
                await self._settle()
        except AppCodeAbandoned:
            raise
        except Exception:
            self.failed_inputs += 1
            log.exception("replaying what clients did failed")
        self._growth.check()

    def _set_input(self, model: Model, attr: str, value: Any) -> None:
        model.set_from_json(attr, self._read(value))

    def _trigger(self, event: Any) -> None:
        callbacks = self._document.callbacks
        match event:
            case {"message": message}:
                kind, data = self._read(message)
                for receive in list(callbacks._message_callbacks.get(kind, ())):  # bokeh 3.9 and 3.10
                    receive(data)
            case _:
                callbacks.trigger_event(self._read(event))

    async def _replay_event(self, model: Model, attributes: Collection[str]) -> None:
        """Where BokehJS sends an event with the very values of inputs, an app may listen to that instead."""
        event = line.event_of_inputs(model, attributes)
        if event is not None:
            await self._run(self._document.callbacks.trigger_event, event)

    # -- everything, silently ------------------------------------------------------------------

    def _overlay(self) -> None:
        with self._silently():
            self._undo_replay()
            self._make_models()
            for model_id, whole in self._stored.models.items():
                self._reset(self._known(model_id), whole.attributes)
            for (model_id, attr), value in self._stored.values.items():
                model = self._find(model_id)
                if model is not None:
                    self._lay_or_skip(model, attr, value.value)
            self._restore_outline()
            for model_id, chunks in self._stored.chunks.items():
                self._replay_chunks(model_id, chunks)

    def _undo_replay(self) -> None:
        if self._undoing is None:
            return
        stored = self._stored
        for model_id, attr in self._undoing.changed - stored.values.keys():
            model = self._find(model_id)
            if model is not None and model_id not in stored.models:
                self._undoing.undo(model, attr)
        meta = stored.meta
        self._undoing.undo_outline(
            title=meta.title is None, roots=meta.roots is None, theme=meta.theme is None
        )

    def _make_models(self) -> None:
        """Instances for models that came later and that no callback made again."""
        for model_id, whole in self._stored.models.items():
            present = self._find(model_id)
            if present is None or type_name(present) != whole.type:
                cls = model_class(whole.type, self._document)
                self._models[model_id] = _blank(cls, model_id)

    def _reset(self, model: Model, attributes: Any) -> None:
        """Give the model exactly these attributes, but for those that have changed since they were written.

        Those may refer to models that are gone by now, and are laid anyway.
        """
        # bokeh 3.9: what is set is in the first, what differs for each instance by default in the second.
        present = model._property_values.keys() | model._unstable_default_values.keys()
        for name in present - attributes.keys():
            model._property_values.pop(name, None)
            model._unstable_default_values.pop(name, None)
        for name, value in attributes.items():
            if (model.id, name) not in self._stored.values:
                self._lay_or_skip(model, name, value)

    def _restore_outline(self) -> None:
        meta, document = self._stored.meta, self._document
        if meta.title is not None:
            document.title = meta.title
        if meta.roots is not None:
            wanted = [self._known(model_id) for model_id in meta.roots]
            if wanted != document.roots:
                for root in document.roots:
                    document.remove_root(root)
                for root in wanted:
                    document.add_root(root)
        self._restore_theme()

    def _restore_theme(self) -> None:
        theme = self._stored.meta.theme
        if theme is not None and theme != self._document.theme._json:
            self._document.theme = Theme(json=theme)

    def _replay_chunks(self, model_id: str, chunks: list[Chunk]) -> None:
        source: Any = self._find(model_id)
        if source is None:
            return
        for chunk in chunks:
            try:
                self._replay_chunk(source, chunk)
            except UnknownReferenceError:
                raise
            except value_errors() as error:  # rows that do not fit any more cost themselves
                self.losses.add(place_of(source, "rows of data"), reason_of(error))

    def _replay_chunk(self, source: Any, chunk: Chunk) -> None:
        if chunk.is_stream:
            source.stream(self._read_columns(source, "data", chunk.columns), chunk.rollover)
        else:
            patches = self._read(chunk.columns)
            source.patch({name: [tuple(each) for each in column] for name, column in patches.items()})

    # -- details -------------------------------------------------------------------------------

    def _find(self, model_id: str) -> Model | None:
        return self._models.get(model_id) or self._document.models.get_by_id(ID(model_id))

    def _known(self, model_id: str) -> Model:
        model = self._find(model_id)
        if model is None:
            raise DeserializationError(f"the journal refers to a model that is not there: {model_id}")
        return model

    def _reader(self) -> ValueReader:
        models = {**_by_id(self._document), **self._models}.values()
        return ValueReader(models, modules=self._document.modules._modules)  # bokeh 3.9 and 3.10

    def _read(self, value: Any) -> Any:
        return self._reader().decode(value)

    def _read_columns(self, model: Model, attr: str, value: Any) -> Any:
        """Each column by itself where these are columns."""
        match value:
            case {"type": "map", "entries": entries} if isinstance(model, ColumnarDataSource):
                reader = self._reader()
                columns = [(name, partial(reader.decode, column)) for name, column in entries]
                return columns_or_gaps(
                    columns, lambda name, reason: self.losses.add(place_of(model, attr, name), reason)
                )
        return self._read(value)

    def _lay_encoded(self, model: Model, attr: str, value: Any) -> None:
        read = self._read_columns if attr == "data" else self._read_single
        self._lay(model, attr, lambda: read(model, attr, value))

    def _lay_or_skip(self, model: Model, attr: str, value: Any) -> None:
        """A model that has left the Document may refer to others that went with it, and are not kept."""
        try:
            self._lay_encoded(model, attr, value)
        except UnknownReferenceError as error:
            self._unresolved.append((model, error))

    def _read_single(self, model: Model, attr: str, value: Any) -> Any:
        return self._read(value)

    def _lay(self, model: Model, attr: str, read: Callable[[], Any]) -> None:
        """Set the attribute. What cannot be read, or does not fit any more, costs just that."""
        try:
            value = reading(read)
            reading(lambda: set_exactly(model, attr, value))
        except UnknownReferenceError:
            raise
        except DeserializationError as error:
            self.losses.add(place_of(model, attr), str(error))

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """No callback of the app hears of what happens inside."""
        with _muted(self._document, self._models), self._document.models.freeze():
            yield


def _by_id(document: Document) -> dict[str, Model]:
    return {model.id: model for model in document.models}


def _blank(cls: type[Model], model_id: str) -> Model:
    """An instance without the initialization of its class, as ``Deserializer`` makes it (bokeh 3.9)."""
    model: Model = cls.__new__(cls, id=ID(model_id))
    if not model._initialized:
        HasProps.__init__(model)
    return model


@contextmanager
def _muted(document: Document, strays: Mapping[str, Model]) -> Iterator[None]:
    """Nobody hears of changes of the Document, or of ``strays``, which are not (yet) part of it.

    bokeh 3.9: all changes of a Document's models go through ``trigger_on_change`` of its callback
    manager; models outside call what is in their own ``_callbacks``.
    """
    own = {model: model._callbacks for model in strays.values()}
    for model in own:
        model._callbacks = {}
    manager: Any = document.callbacks
    manager.trigger_on_change = lambda event: None
    try:
        yield
    finally:
        del manager.trigger_on_change
        for model, callbacks in own.items():
            model._callbacks = callbacks
