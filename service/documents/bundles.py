"""Which scripts and style sheets the classes need that a Document is made of (bokeh 3.9 and 3.10 alike).

Bokeh's own models are in "bokeh" but for those of ``bokeh.models.widgets``. Those of extensions, such as
Panel, bring files of their own, and Bokeh puts those of all that a process has imported into each page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.embed.bundle import URL, Bundle, _bundle_extensions, bundle_for_objs_and_resources
from bokeh.model import Model
from bokeh.resources import Resources

__all__ = ("bundle_of", "bundle_without", "bundles_for", "extensions", "extensions_of")

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


def extensions() -> frozenset[str]:
    """The packages that this process has models of, besides Bokeh and the apps' own scripts."""
    return frozenset(map(_package, _classes_of_extensions()))


def extensions_of(models: Iterable[HasProps]) -> frozenset[str]:
    """The packages that these models are of; Bokeh, and the app's own script, may be among them."""
    return frozenset(_package(cls) for cls in {type(model) for model in models})


def bundle_without(packages: Collection[str], resources: Resources) -> Bundle:
    """All that pages may need, but for the files of these extensions."""
    bundle = bundle_for_objs_and_resources(None, resources)
    if not packages:
        return bundle
    others = [cls for cls in _classes_of_extensions() if _package(cls) in packages]
    own = [cls for cls in _classes() if cls not in set(others)]
    unwanted: Any = _bundle_extensions(others, resources)  # type: ignore[arg-type]
    scripts = {each.server_url for each in unwanted} | {each.cdn_url for each in unwanted}
    scripts |= {URL(str(each.artifact_path)) for each in unwanted}
    scripts |= _files(others, "__javascript__") - _files(own, "__javascript__")
    styles = _files(others, "__css__") - _files(own, "__css__")
    inline = unwanted if resources.mode == "inline" else ()
    inlined = {Resources._inline(each.artifact_path) for each in inline}
    return Bundle(
        [each for each in bundle.js_files if each not in scripts],
        [each for each in bundle.js_raw if each not in inlined],
        [each for each in bundle.css_files if each not in styles],
        bundle.css_raw,
        bundle.hashes,
    )


def _classes() -> list[Any]:
    return list(Model.model_class_reverse_map.values())


def _classes_of_extensions() -> list[Any]:
    return [
        cls for cls in _classes() if not hasattr(cls, "__implementation__") and not _is_none(_package(cls))
    ]


def _is_none(package: str) -> bool:
    return package == "bokeh" or package.startswith("bokeh_app_")


def _package(cls: Any) -> str:
    return str(cls.__view_module__).partition(".")[0]


def _files(classes: Iterable[Any], attribute: str) -> set[URL]:
    found: set[URL] = set()
    for cls in classes:
        files = getattr(cls, attribute, None) or ()
        found.update(map(URL, (files,) if isinstance(files, str) else files))
    return found
