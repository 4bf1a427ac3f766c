"""An import space per app directory: an app's own ``helpers.py`` (or ``store.py``) wins while it runs.

``sys.modules`` belongs to the process, so a space is entered and left around each step of app
code: its private modules are put in, and what they hide is put back afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType

__all__ = ("ImportSpace",)

_NOTHING = nullcontext()


class ImportSpace:
    """The modules that live in one app directory, apart from everybody else's."""

    def __init__(self, directory: Path | None) -> None:
        self._path = str(directory.resolve()) if directory else ""
        self._private: dict[str, ModuleType] = {}
        self._names = _offered(Path(self._path)) if directory else frozenset()
        # Already imported from here by the server itself: a second copy would not be the same.
        self._names -= {name for name in self._names if self._owns(sys.modules.get(name))}
        self._depth = 0
        self._hidden: dict[str, ModuleType] = {}
        """What the space's modules hide while it is entered."""
        self._before = 0
        """How many modules there were then."""

    def entered(self) -> AbstractContextManager[None]:
        """Imports inside find the app's own modules first. May nest; must not span an ``await``."""
        return _NOTHING if not self._path or self._depth else self

    def __enter__(self) -> None:
        self._depth += 1
        self._hidden = self._install()
        self._before = len(sys.modules)

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        hidden, self._hidden = self._hidden, {}
        self._uninstall(hidden, changed=len(sys.modules) != self._before)

    def sources(self) -> Iterator[str]:
        """The source code of the app's own modules that were imported so far."""
        for module in self._private.values():
            if module.__file__:
                yield Path(module.__file__).read_text(encoding="utf-8", errors="replace")

    def forget(self) -> None:
        """Drop the app's own modules, so that they are read again."""
        self._private.clear()

    def _install(self) -> dict[str, ModuleType]:
        hidden = {}
        for name in self._names:
            if name in sys.modules:
                hidden.update(_with_submodules(name))
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(self._private)
        sys.path.insert(0, self._path)
        return hidden

    def _uninstall(self, hidden: dict[str, ModuleType], *, changed: bool) -> None:
        if changed:
            self._collect()
        for name in self._private:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
        if self._path in sys.path:
            sys.path.remove(self._path)

    def _collect(self) -> None:
        """Find the modules that were imported from the app's directory just now."""
        for name in self._names:
            if self._owns(sys.modules.get(name)):
                self._private.update(_with_submodules(name))

    def _owns(self, module: ModuleType | None) -> bool:
        """Whether the module's file is in the app's directory."""
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        return any(place and Path(place).is_relative_to(self._path) for place in places)


def _offered(directory: Path) -> frozenset[str]:
    """Top-level names importable from ``directory``, less the standard library's.

    Python itself would not let a script's ``types.py`` replace a module that is loaded already.
    """
    names = {path.stem for path in directory.iterdir() if _importable(path)}
    return frozenset(names - set(sys.stdlib_module_names))


def _importable(path: Path) -> bool:
    if path.is_dir():
        return path.name.isidentifier() and any(path.glob("*.py"))
    return path.suffix == ".py" and path.stem.isidentifier()


def _with_submodules(name: str) -> dict[str, ModuleType]:
    prefix = name + "."
    return {key: module for key, module in sys.modules.items() if key == name or key.startswith(prefix)}
