"""What never changes about a class of Bokeh models, found out once per class.

Bokeh asks for most of this once per property of each new model.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from bokeh.core.has_props import HasProps
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.singletons import Intrinsic, Undefined
from bokeh.core.property.wrappers import PropertyValueDict, PropertyValueList, PropertyValueSet

__all__ = ("SIMPLE", "Facts", "Layout", "facts_of")

SIMPLE = frozenset({int, float, str, bool, type(None)})
"""Types whose values cannot change and compare without surprises. Subclasses do not count."""

_EMPTY: tuple[Any, ...] = ([], {}, set())
_CONTAINERS = frozenset({PropertyValueList, PropertyValueDict, PropertyValueSet})
_NAME = "__svc_facts__"
_learning = threading.Lock()
"""What one thread learns must not be lost to what another learns of the same class."""


class Layout(NamedTuple):
    """What is sent of models of one class that have values of their own for the same properties."""

    complete: bool
    """False when reading its properties makes values, or may fail."""
    properties: list[tuple[str, PropertyDescriptor[Any] | None]]
    """In Bokeh's order; with the descriptor where it has to be asked for the value."""


class Facts:
    """Of one class; kept in the class's own namespace, so it goes when the class goes."""

    __slots__ = (
        "_overridden",
        "defaults",
        "descriptors",
        "eager",
        "empty",
        "layouts",
        "order",
        "required",
        "serialized",
        "unstable",
    )

    def __init__(self, example: HasProps) -> None:
        cls = type(example)
        self._overridden = cls._overridden_defaults()
        names = cls.properties(_with_props=True)
        self.descriptors: dict[str, Any] = {name: cls.lookup(name) for name in names}
        """All properties, in Bokeh's order."""
        self.order = {name: place for place, name in enumerate(names)}
        self.serialized = frozenset(
            name for name, descriptor in self.descriptors.items() if descriptor.serialized
        )
        self.unstable: dict[str, Any] = {
            name: descriptor
            for name, descriptor in self.descriptors.items()
            if descriptor.has_unstable_default(example)
        }
        """Those whose default is made anew for each model."""
        self.eager = tuple(self.unstable.items())
        """Those of them that a new model gets at once; the others, empty containers, when asked for."""
        self.defaults: dict[str, Any] = {}
        """Defaults that are the same for all models, as far as they were asked for."""
        self.empty: dict[str, type] = {}
        """Types of containers that are new and empty for each model, as far as they were asked for."""
        self.layouts: dict[tuple[str | None, ...], Layout] = {}
        """By the names of values that were given, None, and those of values that were made."""
        self.required = tuple(name for name in self.serialized if not self._surely_has_default(name))
        """Serialized properties that may have no value at all."""

    def learn_default(self, name: str, value: Any) -> None:
        """Remember that ``value`` is what Bokeh gave a model as default, if that says something of others."""
        if name not in self.unstable:
            if type(value) in SIMPLE or value is Undefined:
                self.defaults[name] = value
            return
        with _learning:
            self._learn_container(name, value)

    def _learn_container(self, name: str, value: Any) -> None:
        if type(value) in _CONTAINERS and not value and self._raw_default(name) in _EMPTY:
            self.empty[name] = type(value)
            self.eager = tuple(each for each in self.eager if each[0] != name)
            self.layouts = {}

    def _raw_default(self, name: str) -> Any:
        if name in self._overridden:
            return self._overridden[name]
        return self.descriptors[name].property._default

    def _surely_has_default(self, name: str) -> bool:
        if type(self.descriptors[name]).__get__ is not PropertyDescriptor.__get__:
            return False
        default = self._raw_default(name)
        return default is not Undefined and default is not Intrinsic and not callable(default)


def facts_of(model: HasProps) -> Facts:
    """The facts of the model's class. ``model`` need not be initialized."""
    cls = type(model)
    found = cls.__dict__.get(_NAME)
    if found is None:
        with _learning:
            found = cls.__dict__.get(_NAME)
            if found is None:
                found = Facts(model)
                type.__setattr__(cls, _NAME, found)
    facts: Facts = found
    return facts
