"""What clients are sent of a Document where that is not what restoring needs: kept beside it in the journal.

With it a pull can be answered from the journal alone, without the classes of the models
(:mod:`service.documents.composing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from bokeh.core.has_props import is_DataModel
from bokeh.core.property.descriptors import DataSpecPropertyDescriptor
from bokeh.document import Document
from bokeh.model import Model

from service.documents.base import themed
from service.documents.shape import type_name

__all__ = ("CallbackIds", "class_name_for_pages", "js_callback_ids", "sent_instead")

CallbackIds: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]

_UNITS = "_units"


def sent_instead(model: Model, attr: str) -> Iterator[tuple[str, list[Any] | None]]:
    """For an attribute that changed, and one that it takes along: what clients are sent instead of its value.

    In a list; an empty one: nothing. None: its very value.
    """
    descriptor = model.lookup(attr)
    if not descriptor.serialized:  # bokeh 3.9 and 3.10: of these the units of a specification are one
        yield attr, []
        specification = attr.removesuffix(_UNITS)
        if specification != attr and specification in model.properties():
            yield specification, [model.lookup(specification).get_value(model)]
    elif isinstance(descriptor, DataSpecPropertyDescriptor) or attr in themed(model):
        yield attr, [descriptor.get_value(model)]
    else:
        yield attr, None


def js_callback_ids(document: Document) -> CallbackIds:
    """The Document's own JavaScript callbacks by event. Bokeh tells nobody of new ones."""
    callbacks = document.callbacks.js_event_callbacks.items()
    return tuple((event, tuple(each.id for each in each_of)) for event, each_of in callbacks)


def class_name_for_pages(model: Model) -> str | None:
    """What pages call the model's class, where they cannot know it otherwise.

    That is so with data models, which are defined along with the Document, and with classes of the app's own
    script.
    """
    name = str(model.__qualified_model__)
    return name if is_DataModel(type(model)) or name != type_name(model) else None
