"""Laying a stored journal over a Document that the app just built anew.

First the base silently, then the clients' inputs in their order with the app's callbacks, so that
the app's own objects agree with them, then everything silently again: what the callbacks made
last time is what the user saw. A Document of another shape gets its named inputs only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.serialization import DeserializationError
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.model import Model
from bokeh.themes import Theme

from service.documents.base import differences
from service.documents.encoding import replace_document
from service.documents.entries import Base, Chunk, Stored, Value
from service.documents.ids import IdSpace
from service.documents.shape import model_class, shape_of, type_name
from service.documents.values import ValueReader
from service.lines import line

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
    """Restores one Document. ``run`` runs app code with its context; ``setter`` marks inputs."""

    def __init__(
        self,
        document: Document,
        ids: IdSpace,
        stored: Stored,
        *,
        run: Callable[..., Any],
        replay: bool = True,
    ) -> None:
        self._document = document
        self._ids = ids
        self._stored = stored
        self._run = run
        self._replay_inputs = replay
        self._models: dict[str, Model] = {}
        self.failed_inputs = 0
        """Inputs whose callbacks raised."""

    def restore(self, version: str) -> Fidelity:
        """Lay the journal over the Document, whose app has just run and is of ``version``."""
        meta = self._stored.meta
        if meta.pushed:
            self._restore_pushed()
            return Fidelity.EXACT
        if meta.version != version or meta.shape != shape_of(self._document, self._ids):
            return self._restore_named()
        self._restore_exactly()
        return Fidelity.EXACT

    # -- the ways to restore -------------------------------------------------------------------

    def _restore_pushed(self) -> None:
        if self._stored.base is not None:
            base = self._stored.base
            with self._silently():
                replace_document(self._document, json.loads(base.content), base.buffers)
        self._run(self._overlay)
        self._ids.count = max(self._ids.count, self._stored.meta.ids)

    def _restore_exactly(self) -> None:
        self._models = self._ids.tracked if self._ids.tracked is not None else {}
        if self._stored.base is not None:
            self._run(self._lay_base, self._stored.base)
        if self._replay_inputs:
            self._replay_ready()
            self._replay(self._stored.values)
        self._ids.count = max(self._ids.count, self._stored.meta.ids)
        self._run(self._overlay)

    def _restore_named(self) -> Fidelity:
        """Inputs of models that have a name and still the same type."""
        known: dict[tuple[str, str], Value] = {}
        for (_, attr), value in self._stored.values.items():
            if value.is_input and value.name is not None:
                found = self._document.models.get_all_by_name(value.name)
                if len(found) == 1 and type_name(found[0]) == value.type:
                    known[found[0].id, attr] = value
        if not known and not self._stored.state:
            return Fidelity.FRESH
        self._replay_ready()
        self._replay(known, with_ids=False)
        return Fidelity.PARTIAL

    def _lay_base(self, base: Base) -> None:
        with self._silently():
            self._restore_theme()
            for model, attr, value in differences(self._document, base, self._stored.values):
                self._set(model, attr, value)

    # -- inputs --------------------------------------------------------------------------------

    def _replay_ready(self) -> None:
        """Tell the app that the page is drawn, which BokehJS (3.9) does once, and not when it comes back.

        Panel (1.9) calls what waits for the page; until then HoloViews' plots do not follow their streams.
        """
        ready = self._stored.meta.ready
        if ready is None:
            return
        self._ids.count = max(self._ids.count, ready)
        try:
            self._run(self._document.callbacks.trigger_event, DocumentReady())
        except Exception:
            self.failed_inputs += 1
            log.exception("what waited for the page failed")

    def _replay(self, values: dict[tuple[str, str], Value], *, with_ids: bool = True) -> None:
        inputs = [(key, value) for key, value in values.items() if value.is_input]
        inputs.sort(key=lambda item: item[1].sequence)
        attributes: dict[str, list[str]] = {}
        for (model_id, attr), _ in inputs:
            attributes.setdefault(model_id, []).append(attr)
        for (model_id, attr), value in inputs:
            model = self._document.models.get_by_id(ID(model_id))
            if model is None:
                continue
            if with_ids:
                self._ids.count = max(value.ids_before, self._stored.meta.initial)
            try:
                decoded = self._read(value.value)
                self._run(model.set_from_json, attr, decoded)
                if attr == attributes[model_id][-1]:
                    self._replay_event(model, attributes[model_id])
            except Exception:
                self.failed_inputs += 1
                log.exception("replaying the input %s of %s failed", attr, value.type)

    def _replay_event(self, model: Model, attributes: Collection[str]) -> None:
        """Where BokehJS sends an event with the very values of inputs, an app may listen to that instead."""
        event = line.event_of_inputs(model, attributes)
        if event is not None:
            self._run(self._document.callbacks.trigger_event, event)

    # -- everything, silently ------------------------------------------------------------------

    def _overlay(self) -> None:
        with self._silently():
            self._make_models()
            for model_id, whole in self._stored.models.items():
                self._reset(self._known(model_id), whole.attributes)
            for (model_id, attr), value in self._stored.values.items():
                model = self._find(model_id)
                if model is not None:
                    self._set(model, attr, self._read(value.value))
            self._restore_outline()
            for model_id, chunks in self._stored.chunks.items():
                self._replay_chunks(model_id, chunks)

    def _make_models(self) -> None:
        """Instances for models that came later and that no callback made again."""
        for model_id, whole in self._stored.models.items():
            present = self._find(model_id)
            if present is None or type_name(present) != whole.type:
                cls = model_class(whole.type, self._document)
                self._models[model_id] = _blank(cls, model_id)

    def _reset(self, model: Model, attributes: Any) -> None:
        """Give the model exactly these attributes."""
        # bokeh 3.9: what is set is in the first, what differs for each instance by default in the second.
        present = model._property_values.keys() | model._unstable_default_values.keys()
        for name in present - attributes.keys():
            model._property_values.pop(name, None)
            model._unstable_default_values.pop(name, None)
        for name, value in attributes.items():
            self._set(model, name, self._read(value))

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
            columns = self._read(chunk.columns)
            if chunk.is_stream:
                source.stream(columns, chunk.rollover)
            else:
                source.patch({name: [tuple(each) for each in patches] for name, patches in columns.items()})

    # -- details -------------------------------------------------------------------------------

    def _find(self, model_id: str) -> Model | None:
        return self._models.get(model_id) or self._document.models.get_by_id(ID(model_id))

    def _known(self, model_id: str) -> Model:
        model = self._find(model_id)
        if model is None:
            raise DeserializationError(f"the journal refers to a model that is not there: {model_id}")
        return model

    def _read(self, value: Any) -> Any:
        return ValueReader({**_by_id(self._document), **self._models}.values()).decode(value)

    def _set(self, model: Model, attr: str, value: Any) -> None:
        model.set_from_json(attr, value)

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
