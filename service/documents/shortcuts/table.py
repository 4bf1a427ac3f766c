"""The list of shortcuts, and putting them in where Bokeh is the one they were written for."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from hashlib import sha256
from types import ModuleType
from typing import Any

import bokeh.document.callbacks as bokeh_callbacks
import bokeh.model.util as bokeh_util
from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import ColumnDataPropertyDescriptor, PropertyDescriptor
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.core.serialization import Deserializer, Serializer
from bokeh.document import Document
from bokeh.document.models import DocumentModelManager
from bokeh.model import Model
from bokeh.protocol.messages.patch_doc import patch_doc

from service.documents.shortcuts import dispatch, exchange, properties
from service.documents.shortcuts.exchange import PatchSerializer

__all__ = ("SHORTCUTS", "Shortcut", "install", "outdated", "patch_serializer", "remove")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``replacement`` for a function of Bokeh whose source has the digest ``known`` (bokeh 3.9.2)."""

    owner: type | ModuleType
    name: str
    known: str
    replacement: Any
    original: Any

    @property
    def digest(self) -> str:
        return digest_of(self.original)

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


def digest_of(function: Any) -> str:
    """A short digest of a function's source; empty where there is no source."""
    try:
        source = inspect.getsource(getattr(function, "__func__", function))
    except (OSError, TypeError):
        return ""
    return sha256(source.encode()).hexdigest()[:16]


def _shortcut(owner: type | ModuleType, name: str, known: str) -> Shortcut:
    found = [vars(module)[name] for module in (properties, exchange, dispatch) if name in vars(module)]
    (replacement,) = found
    return Shortcut(owner, name, known, replacement, owner.__dict__[name])


def _relied_on(owner: type | ModuleType, name: str, known: str) -> Shortcut:
    """Nothing is replaced, but shortcuts rely on how this works."""
    original = owner.__dict__[name]
    return Shortcut(owner, name, known, original, original)


SHORTCUTS = (
    _shortcut(HasProps, "__init__", "8184f3bb9444ab37"),
    _shortcut(HasProps, "__setattr__", "24282e78bd53f120"),
    _shortcut(HasProps, "themed_values", "668c1fc00de346e8"),
    _shortcut(HasProps, "_overridden_defaults", "c3b1c82a295e3b8b"),
    _shortcut(HasProps, "query_properties_with_values", "e864a09d384658f4"),
    _shortcut(PropertyDescriptor, "_get", "4a1853c83257a7cc"),
    _shortcut(PropertyDescriptor, "_get_default", "6173b5a328b12fc3"),
    _shortcut(PropertyDescriptor, "instance_default", "25b04bb55f486913"),
    _shortcut(Property, "matches", "c8307ec9d49d8b12"),
    _shortcut(Property, "prepare_value", "8cafcfe88f929018"),
    _shortcut(Document, "apply_json_patch", "c5dc2d783d337643"),
    _shortcut(Document, "to_json", "6c14801bfde49329"),
    _shortcut(HasProps, "to_serializable", "253a7ed63b12906e"),
    _shortcut(Serializer, "_encode_bytes", "25a2d486f04823fe"),
    _shortcut(bokeh_util, "visit_immediate_value_references", "94591d886aacef72"),
    _shortcut(bokeh_callbacks, "invoke_with_curdoc", "516b6eef5f8cd5cf"),
    _shortcut(Model, "trigger", "d88b9252165572ed"),
    _shortcut(ColumnDataPropertyDescriptor, "__set__", "d1bef3b1b1574d17"),
    _shortcut(PropertyValueColumnData, "update", "ef55b5da7c91a429"),
    _relied_on(bokeh_util, "collect_filtered_models", "076dfeb157680429"),
    _relied_on(bokeh_util, "visit_value_and_its_immediate_references", "e018cc9482917eac"),
    _relied_on(Model, "to_serializable", "22b00b286cc42244"),
    _relied_on(Deserializer, "__init__", "af51c24c577285fd"),
    _relied_on(Deserializer, "has_ref", "a335126f78b7cfc4"),
    _relied_on(Serializer, "__init__", "d676c85b3021e564"),
    _relied_on(Serializer, "add_ref", "cc5547a187c24498"),
    _relied_on(Serializer, "get_ref", "82afd21da3fb869e"),
    _relied_on(Serializer, "has_ref", "6b31df528992f912"),
    _relied_on(DocumentModelManager, "flush_synced", "8e872ec04aea2718"),
    _relied_on(patch_doc, "create", "935344e7cc170e99"),
)
"""Taken as a whole: they rely on each other's view of a class."""


def outdated() -> list[Shortcut]:
    """The shortcuts whose function in Bokeh is another than they were written for."""
    return [each for each in SHORTCUTS if each.digest != each.known]


_installed = False


def install() -> bool:
    """Put all shortcuts in, or none if Bokeh has changed. Idempotent; whether they are in."""
    global _installed
    if changed := outdated():
        names = ", ".join(map(str, changed))
        log.warning("this version of bokeh runs without our shortcuts: it has changed %s", names)
        return False
    for each in SHORTCUTS:
        setattr(each.owner, each.name, each.replacement)
    _installed = True
    return True


def remove() -> None:
    """Put Bokeh's own functions back, to compare with."""
    global _installed
    for each in SHORTCUTS:
        setattr(each.owner, each.name, each.original)
    _installed = False


def patch_serializer(models: DocumentModelManager) -> Serializer:
    """A serializer for changes: the models that clients have already are written as references."""
    return PatchSerializer(models) if _installed else Serializer(references=models.synced_references)
