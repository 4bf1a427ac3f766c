"""Model classes that app code defines: named alike in every run of a session, forgotten with it.

Bokeh runs a script anew for each session, in a module with a random name, and never forgets the
model classes it defines there. Data models then have other type names on each replica, the table
of classes grows with every session, and once a module is gone pages fail to look it up.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from types import ModuleType
from typing import Any

import bokeh.application.handlers.code_runner as bokeh_code_runner
from bokeh.core.has_props import _default_resolver
from bokeh.util.compiler import nodejs_compile, set_cache_hook
from bokeh.util.serialization import make_globally_unique_id

from service.documents.ids import current_ids

__all__ = ("forget_classes", "install", "signature")

_MODULE_PREFIX = "bokeh_app_"
"""What bokeh 3.9 puts before the id of a script's module."""

_compiled: dict[tuple[str, str], Any] = {}
_kept: dict[str, ModuleType] = {}


def install() -> None:
    """Name the modules of scripts by their session, and compile custom models once. Idempotent.

    bokeh 3.9: ``CodeRunner.new_module`` looks up ``make_globally_unique_id`` in its own module
    each time, and nothing else in that module uses it.
    """
    bokeh_code_runner.make_globally_unique_id = _module_id  # type: ignore[attr-defined,assignment]
    set_cache_hook(_compile)


def forget_classes(modules: Iterable[ModuleType]) -> None:
    """Forget the model classes of these modules, which are about to be emptied.

    Those with their own JavaScript stay, by their plain name, because pages need them before the
    next session defines them anew; Bokeh then asks for their module's file.
    """
    files = {module.__name__: getattr(module, "__file__", None) for module in modules}
    classes = _known()
    for name, cls in [item for item in list(classes.items()) if item[1].__module__ in files]:
        if hasattr(cls, "__implementation__"):
            _keep_module(cls.__module__, files[cls.__module__])
        else:
            del classes[name]


def signature() -> Hashable:
    """What the scripts of a page depend on: extensions, and custom models with their code."""
    heads, custom = set(), set()
    for name, cls in list(_known().items()):
        implementation = getattr(cls, "__implementation__", None)
        if implementation is not None:
            custom.add((name, getattr(implementation, "code", implementation)))
        elif not cls.__view_module__.startswith(_MODULE_PREFIX):
            heads.add(cls.__view_module__.partition(".")[0])
    return frozenset(heads), frozenset(custom)


def _module_id() -> str:
    """The id of the module a script is about to run in."""
    ids = current_ids.get()
    if ids is None:
        return str(make_globally_unique_id())
    number = 1
    while _is_taken(f"{_MODULE_PREFIX}{_plain(ids.prefix)}_{number}"):
        number += 1
    return f"{_plain(ids.prefix)}_{number}"


def _is_taken(name: str) -> bool:
    """Whether a module has the name; one that only stands in gives way, as its session begins anew."""
    stub = _kept.pop(name, None)
    if stub is not None and sys.modules.get(name) is stub:
        del sys.modules[name]
    return name in sys.modules


def _plain(prefix: str) -> str:
    return prefix.rstrip("-")


def _keep_module(name: str, file: str | None) -> None:
    """A module with nothing in it but where it came from, until its classes are defined anew."""
    used = {cls.__module__ for cls in list(_known().values())}
    for old in _kept.keys() - used:
        if sys.modules.get(old) is _kept.pop(old):
            del sys.modules[old]
    stub = ModuleType(name)
    stub.__file__ = file
    _kept[name] = stub


def keep_files() -> None:
    """Put the stand-ins of emptied modules in place."""
    for name, stub in _kept.items():
        sys.modules.setdefault(name, stub)


def _compile(model: Any, implementation: Any) -> Any:
    """Compile a custom model's code, once however often a script defines it.

    Raises RuntimeError where Bokeh would end the process.
    """
    key = (implementation.lang, implementation.code)
    if key not in _compiled:
        compiled = nodejs_compile(implementation.code, lang=implementation.lang, file=implementation.file)
        if "error" in compiled:
            raise RuntimeError(f"the custom model {model.name} does not compile: {compiled.error}")
        _compiled[key] = compiled
    return _compiled[key]


def _known() -> dict[str, Any]:
    """Bokeh's own table of model classes by type name; the public one is a copy (bokeh 3.9)."""
    table: dict[str, Any] = _default_resolver._known_models  # type: ignore[attr-defined]
    return table
