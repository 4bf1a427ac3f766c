"""A shortcut for adding roots to a Document (bokeh 3.9 and 3.10)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bokeh.document import Document
from bokeh.document.events import RootAddedEvent
from bokeh.document.models import DocumentModelManager
from bokeh.model import Model

__all__: tuple[str, ...] = ()

bokeh = SimpleNamespace(add_root=Document.add_root)


def add_root(self: Document, model: Model, setter: Any = None) -> None:
    """Bokeh's own looks through all models of all roots again, for each root of a template.

    The others are known: whatever changes their references makes Bokeh look through them then.
    """
    if model in self._roots:
        return
    known = self.models
    if known._freeze_count or not all(root.id in known._models for root in self._roots):
        bokeh.add_root(self, model, setter)  # with all that comes meanwhile, or could not come before
        return
    self._roots.append(model)
    _join(known, self, model.references())
    self.callbacks.trigger_on_change(RootAddedEvent(self, model, setter))


def _join(known: DocumentModelManager, document: Document, models: set[Model]) -> None:
    new = [each for each in models if known._models.get(each.id) is not each]
    for each in new:
        each._attach_document(document)
        known._new_models.add(each)
    # A new table, as with Bokeh: who has the one before can tell what came.
    known._models = {**known._models, **{each.id: each for each in new}}
    for each in new:
        if each.name is not None:
            known._models_by_name.add_value(each.name, each)
