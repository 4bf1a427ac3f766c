"""Which properties judge a value by itself alone, so that one judgement holds for good."""

from __future__ import annotations

from typing import Any

from bokeh.core.property.bases import ParameterizedProperty, Property

__all__ = ("is_pure",)

_MODULES = """
any auto bases color constraints container dataspec either enum instance nullable numeric primitive
readonly required string
"""
_PURE = frozenset(f"bokeh.core.property.{module}" for module in _MODULES.split())
"""Bokeh's modules whose properties neither look at files or clocks nor warn (bokeh 3.9 and 3.10)."""


def is_pure(prop: Property[Any]) -> bool:
    """Whether ``prop`` and all it is made of is Bokeh's own, and pure."""
    if type(prop).__module__ not in _PURE:
        return False
    parts = prop.type_params if isinstance(prop, ParameterizedProperty) else []
    others = [converter for converter, _ in prop.alternatives]
    return all(is_pure(part) for part in (*parts, *others))
