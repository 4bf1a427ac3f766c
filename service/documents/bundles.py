"""Which of BokehJS's bundles have the classes that a Document needs.

All models are in "bokeh" but for those of ``bokeh.models.widgets``; bokeh 3.9 and 3.10 alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from bokeh.core.has_props import HasProps

__all__ = ("bundle_of", "bundles_for")

_PACKAGES = {"bokeh.models.widgets.tables": "bokeh-tables", "bokeh.models.widgets": "bokeh-widgets"}


def bundles_for(models: Iterable[HasProps]) -> frozenset[str]:
    """The bundles without which these models cannot be drawn as they are."""
    found: set[str] = set()
    for model in models:
        cls = type(model)
        found.add(bundle_of(cls))
        if _has_backends(cls) and model.output_backend == "webgl":  # type: ignore[attr-defined]
            found.add("bokeh-gl")
    return frozenset(found - {"bokeh"})


@lru_cache(maxsize=1024)
def bundle_of(cls: type[HasProps]) -> str:
    """Where the first class of Bokeh's own is that it is derived from."""
    for base in cls.__mro__:
        if base.__module__.startswith("bokeh."):
            package = max(filter(base.__module__.startswith, _PACKAGES), key=len, default="")
            return _PACKAGES.get(package, "bokeh")
    return "bokeh"


@lru_cache(maxsize=1024)
def _has_backends(cls: type[HasProps]) -> bool:
    """By class: a model that is asked for a property it lacks first looks for similar names (0.2 ms)."""
    return "output_backend" in cls.properties()
