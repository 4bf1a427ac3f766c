"""``import`` statements, ``importlib`` and finders that know the modules of apps.

What they do for names that only one app offers is to take note of what is loaded. Redirection is for
the few names that :data:`~service.apps.app_directories.renamed_names` has.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name
from types import CodeType, ModuleType
from typing import Any

from service.apps.app_directories import (
    AppDirectory,
    directories,
    importer,
    renamed_names,
    spec_elsewhere,
)

__all__ = ("install",)

# CPython 3.11 to 3.14: ``importlib.import_module`` and ``importlib.__import__`` call it by this name, and
# functions that somebody imported from importlib long ago do so as well.
_bootstrap: Any = importlib._bootstrap

_statement = builtins.__import__
_by_name = _bootstrap._gcd_import


def install() -> None:
    """Once per process, for good: from the first app with a directory on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if renamed_names and builtins.__import__ is _statement:
        builtins.__import__ = _import
        _bootstrap._gcd_import = _gcd_import


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature is Python's
    locals: Mapping[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """``builtins.__import__``, which each import statement calls."""
    if not level and (top := name.partition(".")[0]) in renamed_names:
        directory = importer(globals, top)
        if directory is not None and top in directory.renamed:
            return _import_renamed(directory, name, fromlist)
    return _statement(name, globals, locals, fromlist, level)


def _import_renamed(directory: AppDirectory, name: str, fromlist: Sequence[str] | None) -> Any:
    try:
        # With names to import it is the last module that comes back, not "service".
        module = _statement(directory.key(name), None, None, fromlist or ("__name__",), 0)
    except ModuleNotFoundError as error:
        _use_plain_name(error, directory)
        raise
    return module if fromlist else sys.modules[directory.key(name.partition(".")[0])]


def _gcd_import(name: str, package: str | None = None, level: int = 0) -> Any:
    """What ``importlib.import_module`` ends in."""
    full = resolve_name("." * level + name, package) if level and package else name
    if (top := full.partition(".")[0]) in renamed_names:
        directory = importer(_globals_of_caller(), top)
        if directory is not None and top in directory.renamed:
            try:
                return _by_name(directory.key(full))
            except ModuleNotFoundError as error:
                _use_plain_name(error, directory)
                raise
    return _by_name(name, package, level)


def _globals_of_caller() -> dict[str, Any]:
    """Of who called importlib."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "importlib" and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_globals


def _use_plain_name(error: ModuleNotFoundError, directory: AppDirectory) -> None:
    """Apps compare ``error.name`` with what they tried to import."""
    prefix = directory.package + "."
    if error.name and error.name.startswith(prefix):
        error.name = error.name.removeprefix(prefix)
        error.msg = error.msg.replace(prefix, "")


class _Finder:
    """Finds modules in the apps' directories whatever ``sys.path`` is, which runs of apps change."""

    for_apps = True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None and name in renamed_names:
            return _find_renamed(name, target)
        for directory in directories():
            if _belongs(name, path, directory):
                return _find_in(directory, name, path, target)
        return None


def _belongs(name: str, path: Sequence[str] | None, directory: AppDirectory) -> bool:
    if name.startswith(directory.package + "."):
        return True
    top = name.partition(".")[0]
    return top in directory.names and (path is None or any(map(directory.owns, path)))


def _find_in(
    directory: AppDirectory, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    directory.loaded.add(name)
    spec = PathFinder.find_spec(name, [directory.path] if path is None else path, target)
    if spec is None:
        return None
    if path is None and spec.submodule_search_locations and not spec.has_location:
        spec.submodule_search_locations = _NamespacePath(spec.submodule_search_locations)
    if directory.reread and type(spec.loader) is SourceFileLoader:
        spec.loader = _Reader(spec.loader.name, spec.loader.path)
    return spec


def _find_renamed(name: str, target: ModuleType | None) -> ModuleSpec | None:
    """Somebody else's module of this name, or who asks for a place (``find_spec``) is an app."""
    spec = spec_elsewhere(name, target=target)
    if spec is not None:
        return spec
    directory = importer(None, name)
    if directory is None:
        raise ModuleNotFoundError(f"No module named {name!r} but in apps, of which none runs here", name=name)
    return _find_in(directory, name, None, target)


class _NamespacePath(list[str]):
    """The folder of a package without ``__init__.py``.

    Python's own follows ``sys.path``, on which other apps have folders of that name.
    """

    def __repr__(self) -> str:
        # importlib.resources (Python 3.11 to 3.13) looks for this word to know such a package.
        return f"NamespacePath({super().__repr__()})"


class _Reader(SourceFileLoader):
    """Compiles the source each time.

    Cached bytecode counts as fresh when size and second of the file's last change are the same, which two
    versions that are saved in a row easily share.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code
