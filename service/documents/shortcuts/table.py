"""The list of shortcuts, and putting them in where Bokeh is the one they were written for."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import PropertyDescriptor

from service.documents.shortcuts import properties

__all__ = ("SHORTCUTS", "Shortcut", "install", "outdated", "remove")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``replacement`` for a function of Bokeh whose source has the digest ``known`` (bokeh 3.9.2)."""

    owner: type
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


def _shortcut(owner: type, name: str, known: str) -> Shortcut:
    return Shortcut(owner, name, known, vars(properties)[name], owner.__dict__[name])


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
)
"""Taken as a whole: they rely on each other's view of a class."""


def outdated() -> list[Shortcut]:
    """The shortcuts whose function in Bokeh is another than they were written for."""
    return [each for each in SHORTCUTS if each.digest != each.known]


def install() -> bool:
    """Put all shortcuts in, or none if Bokeh has changed. Idempotent; whether they are in."""
    if changed := outdated():
        names = ", ".join(map(str, changed))
        log.warning("this version of bokeh runs without our shortcuts: it has changed %s", names)
        return False
    for each in SHORTCUTS:
        setattr(each.owner, each.name, each.replacement)
    return True


def remove() -> None:
    """Put Bokeh's own functions back, to compare with."""
    for each in SHORTCUTS:
        setattr(each.owner, each.name, each.original)
