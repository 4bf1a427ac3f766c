"""Which packages an app's code imports, found without running it.

Follows the app's own modules, and for installed packages what they declare to need.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

__all__ = ("imported_modules", "imports_any")


def imports_any(sources: Iterable[str], directory: Path | None, packages: frozenset[str]) -> bool:
    """Whether one of these ``sources``, or a module in ``directory`` that they import, needs a package."""
    own = {} if directory is None else _modules_in(directory)
    waiting = [*sources]
    while waiting:
        for name in _imported(waiting.pop()):
            if name in own:
                waiting += [_read(file) for file in own.pop(name)]
            elif name in packages or _needs(name, packages):
                return True
    return False


def imported_modules(sources: Iterable[str], directory: Path | None) -> set[str]:
    """All modules that ``sources``, or modules in ``directory`` that they import, name in import statements.

    With what is imported *from* a module, which may be modules, too.
    """
    own = {} if directory is None else _modules_in(directory)
    names: set[str] = set()
    waiting = [*sources]
    while waiting:
        for name in _imported_names(waiting.pop()):
            names.add(name)
            waiting += [_read(file) for file in own.pop(name.partition(".")[0], ())]
    return names


def _imported_names(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def _modules_in(directory: Path) -> dict[str, list[Path]]:
    """The files behind each name that can be imported from ``directory``."""
    found = {file.stem: [file] for file in directory.glob("*.py")}
    for package in directory.iterdir():
        # What has no __init__.py of its own may be anything, also an environment with thousands of files.
        if (package / "__init__.py").is_file():
            found[package.name] = sorted(package.rglob("*.py"))
    return found


def _read(file: Path) -> str:
    return file.read_text("utf-8", errors="replace")


def _imported(source: str) -> Iterator[str]:
    """Top-level names in import statements anywhere in ``source``; none if it is no Python."""
    return (name.partition(".")[0] for name in _imported_names(source))


@cache
def _needs(name: str, packages: frozenset[str]) -> bool:
    """Whether an installed top-level package, or one that it requires, is among ``packages``."""
    seen, waiting = {"bokeh", *sys.stdlib_module_names}, [name]
    while waiting:
        if (each := waiting.pop()) in packages:
            return True
        if each not in seen:
            seen.add(each)
            waiting += _required_by(each)
    return False


def _required_by(name: str) -> Iterable[str]:
    """What its distribution declares; if that has another name, what the package itself imports."""
    try:
        requirements = distribution(name).requires or ()
    except PackageNotFoundError:
        return _imported_by_init(name)
    return filter(None, map(_required, requirements))


def _required(requirement: str) -> str:
    """The name in a requirement, as it is imported; "" for those of extras only."""
    name, _, condition = requirement.partition(";")
    if "extra" in condition:
        return ""
    found = re.match(r"[\w.-]+", name)
    return found[0].replace("-", "_").lower() if found else ""


def _imported_by_init(name: str) -> Iterable[str]:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return ()
    file = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return _imported(_read(file)) if file is not None and file.suffix == ".py" else ()
