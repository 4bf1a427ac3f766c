"""What pages are shown beside the values: the base that those are laid over, scripts' callbacks, classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from service.documents.encoding import Buffers, encode_definitions, encode_document, encode_js_callbacks
from service.documents.entries import Base, Stored
from service.documents.exact import Exact, exact_values
from service.documents.journal.changes import Changes
from service.documents.journal.writing import ValueWriter
from service.documents.losses import Losses
from service.documents.sent import CallbackIds, class_name_for_pages, js_callback_ids, sent_instead
from service.documents.shape import type_name
from store.errors import RecordError
from store.records import pack_entry

__all__ = ("PageRecord",)


class PageRecord:
    """Of one Document. ``sizes`` are those of all fields in the store, by name."""

    def __init__(
        self, document: Document, losses: Losses, writer: ValueWriter, sizes: Mapping[str, int]
    ) -> None:
        self._document = document
        self._losses = losses
        self._writer = writer
        self._sizes = sizes
        self.base: Base | None = None
        """The one that is due."""
        self._exact: Exact = {}
        """What belongs to it."""
        self._js_callbacks: CallbackIds | None = js_callback_ids(document)
        """As the base or what is kept beside it has them; None where that is not known."""
        self._classes: dict[str, str] = {}
        """Of models that came later, as far as pages have to be told of them."""

    @property
    def has_base(self) -> bool:
        """Whether a client has seen the Document."""
        return self.base is not None or "base" in self._sizes

    def seen(self, content: str, buffers: Buffers) -> None:
        """A client gets to see the Document like this, as the first one."""
        self.base, self._exact = Base(content, buffers), exact_values(self._document, self._losses)

    def seen_callbacks(self) -> None:
        """Scripts' callbacks are in the base as they are now."""
        self._js_callbacks = js_callback_ids(self._document)

    def resume(self, stored: Stored) -> None:
        # The base is of another run, which has made the same ones; what was added later is not there again.
        self._js_callbacks = None if "js" in stored.sizes else js_callback_ids(self._document)
        self._classes = dict(stored.classes)

    def take_base(self, changes: Changes) -> None:
        """The base, if one is due."""
        if self.base is not None:
            self._put_base(changes, self.base, self._exact)
        self.base, self._exact = None, {}

    def take_present(self, changes: Changes) -> None:
        """The Document as it is now as the base, though no client gets to see this."""
        models = self._document.models
        unknown = set(models._new_models)  # bokeh 3.9: encoding makes them known to the clients
        base = Base(*encode_document(self._document, inline=False))
        models._new_models.update(unknown)
        self._put_base(changes, base, exact_values(self._document, self._losses))
        self.base, self._exact = None, {}
        self.seen_callbacks()

    def take_js_callbacks(self, changes: Changes) -> None:
        ids = js_callback_ids(self._document)
        if ids != self._js_callbacks and self.has_base:
            changes.put["js"] = pack_entry(encode_js_callbacks(self._document))
            self._js_callbacks = ids

    def forget_classes(self) -> None:
        self._classes.clear()

    def take_classes(self, changes: Changes, models: Iterable[Model]) -> None:
        found = {type_name(model): name for model in models if (name := class_name_for_pages(model))}
        if found.keys() - self._classes.keys():
            self._classes = {**found, **self._classes}
            changes.put["classes"] = pack_entry([self._classes, encode_definitions()])

    def take_sent(self, changes: Changes, model: Model, attr: str) -> None:
        """What pages are sent in the place of the attribute's value."""
        for name, sent in sent_instead(model, attr):
            field = f"w:{model.id}:{name}"
            if sent is not None:
                writer = self._writer
                encoded = [writer.packable(model, name, writer.encoded(model, name, each)) for each in sent]
                changes.put[field] = pack_entry(encoded)
                changes.remove.discard(field)
            elif field in self._sizes:
                changes.remove.add(field)

    def drop_sent(self, changes: Changes, model_id: str) -> None:
        prefix = f"w:{model_id}:"
        changes.remove.update(name for name in self._sizes if name.startswith(prefix))

    def _put_base(self, changes: Changes, base: Base, exact: Exact) -> None:
        changes.put["base"] = base.pack()
        try:
            changes.put["exact"] = pack_entry(exact)
        except RecordError:
            changes.put["exact"] = pack_entry({id_: self._packable_records(id_, exact[id_]) for id_ in exact})

    def _packable_records(self, model_id: str, records: Mapping[str, Any]) -> dict[str, Any]:
        model = self._document.models.get_by_id(ID(model_id))
        return {} if model is None else self._writer.all_packable(model, records)
