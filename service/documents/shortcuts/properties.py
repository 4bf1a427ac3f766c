"""Shortcuts for making models, and for reading and setting their properties (bokeh 3.9 and 3.10).

Each function has the name and the behaviour of the one it replaces; what Bokeh does where no
shortcut applies is reached through ``bokeh``, which holds its own functions.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bokeh.model.util as bokeh_util
import numpy as np
from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property, validation_on
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.singletons import Intrinsic, Undefined
from bokeh.core.property.wrappers import PropertyValueContainer, PropertyValueList
from bokeh.model import Model

from service.documents.shortcuts.facts import SIMPLE, facts_of
from service.documents.shortcuts.purity import is_pure

__all__: tuple[str, ...] = ()

bokeh = SimpleNamespace(
    instance_default=PropertyDescriptor.instance_default,
    matches=Property.matches,
    prepare_value=Property.prepare_value,
    query_properties_with_values=HasProps.query_properties_with_values,
    apply_theme=HasProps.apply_theme,
    visit_immediate_value_references=bokeh_util.visit_immediate_value_references,
    visit_value_and_its_immediate_references=bokeh_util.visit_value_and_its_immediate_references,
)

_MISSING = object()
_BEGINNING = 1024
"""Values of an array that are compared before all of them are."""
_MOST_VALID = 256
"""Values remembered as valid per property."""
_LONGEST_VALID = 40
"""Characters of a text that is remembered: more is hardly an enumeration, but perhaps a secret."""


# -- models ------------------------------------------------------------------------------------


def __init__(self: HasProps, **properties: Any) -> None:  # noqa: N807
    """Bokeh's own asks each property of the class whether its default is made anew, and makes it.

    Here empty containers are made when somebody asks for them: hardly anybody does.
    """
    super(HasProps, self).__init__()
    self._property_values = {}
    self._unstable_default_values = {}
    self._unstable_themed_values = {}
    for name, value in properties.items():
        if value is not Undefined and value is not Intrinsic:
            setattr(self, name, value)
    for name, descriptor in facts_of(self).eager:
        if name not in properties:
            descriptor._get(self)
    self._initialized = True


def __setattr__(self: HasProps, name: str, value: Any) -> None:  # noqa: N807
    if (
        name[:1] == "_"
        or name in facts_of(self).descriptors
        or isinstance(getattr(self.__class__, name, None), property)
    ):
        super(HasProps, self).__setattr__(name, value)
    else:
        self._raise_attribute_error_with_matches(name, self.properties(_with_props=True))


def themed_values(self: HasProps) -> dict[str, Any] | None:
    """Bokeh's own runs into ``__getattr__`` on each model without a theme."""
    return self.__dict__.get("__themed_values__")


def apply_theme(self: HasProps, property_values: dict[str, Any]) -> None:
    """Bokeh's own makes sets of names also where there is no theme, neither before nor now."""
    if property_values != {} or self.themed_values() is not None:
        bokeh.apply_theme(self, property_values)


def query_properties_with_values(
    self: HasProps, query: Any, *, include_defaults: bool = True, include_undefined: bool = False
) -> dict[str, Any]:
    """Bokeh's own also reads each default, to throw it away."""
    if include_defaults or include_undefined:
        found: dict[str, Any] = bokeh.query_properties_with_values(
            self, query, include_defaults=include_defaults, include_undefined=include_undefined
        )
        return found
    facts, themed = facts_of(self), self.themed_values() or {}
    selected = {*self._property_values, *self._unstable_default_values, *themed}
    # Read in the same order as by Bokeh: whatever has no value must raise, whatever is made must be made.
    asked = selected.union(facts.required, (name for name, _ in facts.eager))
    result = {}
    for name in sorted(asked & facts.order.keys(), key=facts.order.__getitem__):
        descriptor = facts.descriptors[name]
        if not query(descriptor):
            continue
        value = descriptor.get_value(self)
        if name not in selected or (
            name not in themed
            and isinstance(value, PropertyValueContainer)
            and name in self._unstable_default_values
        ):
            continue
        result[name] = value
    return result


def visit_immediate_value_references(value: Any, visitor: Any) -> None:
    """Bokeh's own reads each default, and makes each container that is missing, to find nothing in it."""
    if not isinstance(value, HasProps):
        bokeh.visit_immediate_value_references(value, visitor)
        return
    facts, themed = facts_of(value), value.themed_values() or {}
    for name in value.properties_with_refs():
        is_default = not (
            name in value._property_values or name in value._unstable_default_values or name in themed
        )
        if is_default and (name in facts.empty or type(facts.defaults.get(name, Undefined)) in SIMPLE):
            continue
        visit_value_and_its_immediate_references(getattr(value, name), visitor)


def visit_value_and_its_immediate_references(obj: Any, visitor: Any) -> None:
    """Bokeh's own asks each value in turn whether it is one of many kinds."""
    kind = type(obj)
    if kind in SIMPLE:
        return
    if kind is list or kind is PropertyValueList or kind is tuple:
        for item in obj:
            if type(item) not in SIMPLE:
                visit_value_and_its_immediate_references(item, visitor)
    elif isinstance(obj, Model):
        visitor(obj)
    else:
        bokeh.visit_value_and_its_immediate_references(obj, visitor)


# -- reading -----------------------------------------------------------------------------------


def _get(self: PropertyDescriptor[Any], obj: HasProps) -> Any:
    try:
        values = obj._property_values
    except AttributeError:
        raise RuntimeError(
            f"Cannot get a property value {self.name!r} from a {obj.__class__.__name__} instance "
            "before HasProps.__init__"
        ) from None
    value = values.get(self.name, _MISSING)
    return self._get_default(obj) if value is _MISSING else value


def instance_default(self: PropertyDescriptor[Any], obj: HasProps) -> Any:
    """Bokeh's own copies, validates and transforms the same default each time."""
    name, themed, facts = self.name, obj.themed_values(), facts_of(obj)
    if (themed is not None and name in themed) or facts.descriptors.get(name) is not self:
        return bokeh.instance_default(self, obj)
    if (make := facts.empty.get(name)) is not None:
        return make()
    value = facts.defaults.get(name, _MISSING)
    if value is _MISSING:
        value = bokeh.instance_default(self, obj)
        facts.learn_default(name, value)
    return value


def _get_default(self: PropertyDescriptor[Any], obj: HasProps) -> Any:
    name, themed, facts = self.name, obj.themed_values(), facts_of(obj)
    is_themed = themed is not None and name in themed
    made = obj._unstable_themed_values if is_themed else obj._unstable_default_values
    if name in made:
        return made[name]
    default = self.instance_default(obj)
    known = facts.descriptors.get(name) is self
    if name in facts.unstable if known else self.has_unstable_default(obj):
        if isinstance(default, PropertyValueContainer):
            default._register_owner(obj, self)
        made[name] = default
    return default


# -- setting -----------------------------------------------------------------------------------


def matches(self: Property[Any], new: Any, old: Any) -> bool:
    if type(new) in SIMPLE and type(old) in SIMPLE:
        return bool(new == old)
    if type(new) is np.ndarray and type(old) is np.ndarray and _begin_differently(new, old):
        return False
    return bool(bokeh.matches(self, new, old))


def _begin_differently(new: np.ndarray[Any, Any], old: np.ndarray[Any, Any]) -> bool:
    """Whether a look at the first values is enough. Bokeh's own compares all of them, and then looks."""
    if len(new.shape) != 1 or new.shape != old.shape or new.dtype != old.dtype or new.dtype.hasobject:
        return False
    return new.size > _BEGINNING and not np.array_equal(new[:_BEGINNING], old[:_BEGINNING])


def prepare_value(self: Property[Any], owner: Any, name: str, value: Any, *, hint: Any = None) -> Any:
    """Remembers simple values that came through unchanged; Bokeh's own validates them again."""
    kind = type(value)
    if kind not in SIMPLE or self.assertions:
        return bokeh.prepare_value(self, owner, name, value, hint=hint)
    valid = self.__dict__.get("_svc_valid", _MISSING)
    if valid is _MISSING:
        valid = self.__dict__["_svc_valid"] = set() if is_pure(self) else None
    if valid is None:
        return bokeh.prepare_value(self, owner, name, value, hint=hint)
    key = (kind, value)  # 1, 1.0 and True are equal, but not equally valid
    if key in valid:
        return value
    prepared = bokeh.prepare_value(self, owner, name, value, hint=hint)
    if prepared is value and validation_on() and _worth_remembering(value, valid):
        valid.add(key)
    return prepared


def _worth_remembering(value: Any, valid: set[Any]) -> bool:
    return len(valid) < _MOST_VALID and (not isinstance(value, str) or len(value) <= _LONGEST_VALID)
