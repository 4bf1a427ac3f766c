"""The directories that apps import their own modules from, and who may have which name.

A name that one app offers and nobody else has is an ordinary module: ``sys.modules["helpers"]``. One that
several apps offer, or an app and an installed package or this server, is *renamed*: each app's is in
``sys.modules`` as a module of a package of its own, and ``import helpers`` in the app's code is an
import of that one (:mod:`service.apps.import_hooks`). No module is ever taken out of ``sys.modules``
for another, so all this holds in any thread and at any time.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from importlib.machinery import ModuleSpec, PathFinder, all_suffixes
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = (
    "AppDirectory",
    "directories",
    "directory_at",
    "handed_down",
    "importer",
    "renamed_names",
    "running_app",
    "spec_elsewhere",
)

PACKAGE = "service.apps.modules"

_MARK = str(Path(__file__).with_name("modules"))
"""Stands before each app's directory in ``sys.path``, by which child processes know them.

``multiprocessing`` hands ``sys.path`` to children that it starts afresh, and nothing else of ours.
"""

running_app: ContextVar[AppDirectory | None] = ContextVar("running_app", default=None)
"""The directory of the app whose code this context runs."""

renamed_names: set[str] = set()
"""Top-level names that need a look at who imports them. It only grows."""

_elsewhere: set[str] = set()
"""Those of them that are an installed package's or ours as well."""

_directories: weakref.WeakValueDictionary[str, AppDirectory] = weakref.WeakValueDictionary()
_packages: dict[str, str] = {}
_lock = threading.RLock()


class AppDirectory:
    """One directory with the modules of one or more apps. Made by :func:`directory_at` only."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.package = _packages.setdefault(path, _package_name(path))
        self.names: frozenset[str] = frozenset()
        """Top-level names that can be imported from here."""
        self.renamed: frozenset[str] = frozenset()
        """Those of them that are in ``sys.modules`` below :attr:`package`."""
        self.loaded: set[str] = set()
        """Names in ``sys.modules`` of what was imported from here so far."""
        self.reread = False
        """Files may have changed: their cached bytecode is not to be trusted."""
        self._prefix = os.path.join(path, "")
        self._installed = tuple(_below(self._prefix))
        # Like bokeh serve, where a loaded module is found before a file: an app's types.py is never imported.
        self._standard = frozenset(sys.stdlib_module_names.intersection(sys.modules))
        # Imported from here by the server itself: a second copy would not be the same.
        self._of_server = frozenset(filter(self._has_loaded, list(sys.modules)))

    def owns(self, file: str) -> bool:
        """Whether ``file`` is the app's, and not of an environment that lies in its directory."""
        return file.startswith(self._prefix) and not file.startswith(self._installed)

    def key(self, name: str) -> str:
        """The name in ``sys.modules`` of what the app calls ``name``."""
        return f"{self.package}.{name}" if name.partition(".")[0] in self.renamed else name

    def look(self) -> None:
        """Find out what can be imported from here. A name that is renamed stays so."""
        outside = _outer_path()
        found = self._offered(outside) - self._standard - self._of_server
        elsewhere = {name for name in found if self._is_elsewhere(name, outside)}
        others = [each for each in directories() if each is not self]
        shared = {name for each in others for name in found & each.names}
        for each in others:
            each.rename(shared)
        self.names = frozenset(found)
        self.rename(elsewhere | shared)
        _elsewhere.update(elsewhere & self.renamed)

    def rename(self, names: set[str] | frozenset[str]) -> None:
        """Rename what is ours of ``names``, but for what was imported under its plain name already."""
        new = {name for name in self.names & names if not self._has_loaded(name)}
        if new:
            self.renamed |= new
            self._make_package()
            renamed_names.update(new)

    def forget(self) -> None:
        """Drop all modules from here, so that they are read again."""
        # Also what a thread was about to import at the time before: it was noted, but not there yet.
        self.loaded.update(name for name in list(sys.modules) if self._is_own(name))
        _unload(self.loaded)
        self.reread = True
        importlib.invalidate_caches()
        with _lock:
            self.look()

    def _is_own(self, name: str) -> bool:
        top = name.removeprefix(f"{self.package}.").partition(".")[0]
        return top in self.names - self._of_server and self._has_loaded(name)

    def _offered(self, outside: list[str]) -> set[str]:
        names = {path.name.partition(".")[0] for path in Path(self.path).iterdir() if _importable(path)}
        named = {name for name in names if name.isidentifier() and name != "__init__"}
        return {
            each for each in named if _is_module(self.path, each) or not self._is_elsewhere(each, outside)
        }

    def _is_elsewhere(self, name: str, outside: list[str]) -> bool:
        """Whether a module of this name is somebody's who is no app."""
        places = _places(sys.modules.get(name)) or _found_at(name, outside)
        ours = (each for each in directories() if each is self or name in each.names)
        return bool(places) and not any(each.owns(place) for each in ours for place in places)

    def _has_loaded(self, name: str) -> bool:
        return any(map(self.owns, _places(sys.modules.get(name))))

    def _make_package(self) -> None:
        if self.package in sys.modules:
            return
        package = ModuleType(self.package, f"The modules in {self.path} that others have, too.")
        package.__path__ = [self.path]
        package.__package__ = self.package
        package.__spec__ = ModuleSpec(self.package, None, is_package=True)
        package.__spec__.submodule_search_locations = package.__path__
        setattr(importlib.import_module(PACKAGE), self.package.rpartition(".")[2], package)
        sys.modules[self.package] = package


def directories() -> list[AppDirectory]:
    """All that somebody has. A list at once, since another thread may add one."""
    return [found for each in _directories.valuerefs() if (found := each()) is not None]


def directory_at(path: str) -> AppDirectory:
    """The one object for ``path``, which lives as long as somebody has it."""
    with _lock:
        directory = _directories.get(path)
        if directory is None:
            directory = _directories[path] = AppDirectory(path)
            entries = _path_of_process()
            if (_MARK, path) not in pairwise(entries):
                entries += [_MARK, path]
            directory.look()
            weakref.finalize(directory, _clean, path, directory.package, directory.loaded).atexit = False
        return directory


def handed_down() -> list[str]:
    """The directories in ``sys.path`` that a parent process put there and nobody here knows."""
    return [path for mark, path in pairwise(sys.path) if mark == _MARK and path not in _directories]


def importer(namespace: Mapping[str, Any] | None, name: str) -> AppDirectory | None:
    """The app that means its own module when code with these globals imports ``name``.

    Globals with a file tell; without one (``exec``), or in a package that imports by name for
    others, it is the app that runs in this context, or else one whose function waits for this.
    """
    file = namespace.get("__file__") if namespace else None
    if isinstance(file, str):
        owner = _owner(file)
        if owner is not None:
            return owner if name in owner.names else None
        if name in _elsewhere:
            return None
    running = running_app.get() or _waiting_app()
    return running if running is not None and name in running.names else None


def spec_elsewhere(
    name: str, path: list[str] | None = None, target: ModuleType | None = None
) -> ModuleSpec | None:
    """Where Python finds ``name`` when it does not look into the apps' directories."""
    path = _outer_path() if path is None else path
    for finder in sys.meta_path:
        if getattr(finder, "for_apps", False):
            continue
        spec = finder.find_spec(name, path if finder is PathFinder else None, target)
        if spec is not None:
            return spec
    return None


def _owner(file: str) -> AppDirectory | None:
    """Whose file it is. Of directories within each other: the running app's, or else the innermost."""
    owners = [each for each in directories() if each.owns(file)]
    if len(owners) > 1 and (running := running_app.get()) in owners:
        return running
    return max(owners, key=lambda each: len(each.path), default=None)


def _waiting_app() -> AppDirectory | None:
    """The app with the innermost frame on this thread's stack: threads that it started have no context."""
    frame = sys._getframe(1)
    while frame := frame.f_back:  # type: ignore[assignment]
        file = frame.f_globals.get("__file__")
        owner = _owner(file) if isinstance(file, str) else None
        if owner is not None:
            return owner
    return None


def _places(module: ModuleType | None) -> list[str]:
    file = getattr(module, "__file__", None)
    return [file] if file else list(getattr(module, "__path__", ()))


def _outer_path() -> list[str]:
    """``sys.path`` without the directories of apps."""
    apps = {_MARK, *(each.path for each in directories())}
    return [entry for entry in sys.path if os.path.realpath(entry) not in apps]


def _path_of_process() -> list[str]:
    """``sys.path`` outside of runs, see :mod:`service.apps.process_state`."""
    path: list[str] = vars(sys)["path"]
    return path


def _below(prefix: str) -> Iterator[str]:
    """Where packages are installed below the directory."""
    for entry in {*_outer_path(), sys.prefix}:
        place = os.path.join(os.path.realpath(entry), "")
        if place.startswith(prefix) and place != prefix:
            yield place


def _found_at(name: str, path: list[str]) -> list[str]:
    """The file of a module that can be imported. Namespace packages are nobody's."""
    spec = spec_elsewhere(name, path)
    return [spec.origin] if spec is not None and spec.has_location and spec.origin else []


def _importable(path: Path) -> bool:
    """Any directory is, as a namespace package."""
    return path.is_dir() or path.name.endswith(tuple(all_suffixes()))


def _is_module(directory: str, name: str) -> bool:
    """Whether it is more than a directory without ``__init__.py``, to which Python prefers all others."""
    spec = PathFinder.find_spec(name, [directory])
    return spec is not None and spec.has_location


def _package_name(path: str) -> str:
    """After the directory, so that it is the same in each replica and readable where a class is shown."""
    base = re.sub(r"\W", "_", os.path.basename(path)) or "app"
    taken = set(_packages.values())
    suffixes = ("", *(f"_{number}" for number in range(2, len(taken) + 2)))
    return next(name for each in suffixes if (name := f"{PACKAGE}.{base}{each}") not in taken)


def _unload(loaded: set[str]) -> None:
    for name in list(loaded):
        sys.modules.pop(name, None)
    loaded.clear()


def _clean(path: str, package: str, loaded: set[str]) -> None:
    _unload(loaded)
    sys.modules.pop(package, None)
    entries = _path_of_process()  # garbage is collected in any run
    for index, pair in enumerate(pairwise(entries)):
        if pair == (_MARK, path):
            del entries[index : index + 2]
            break
