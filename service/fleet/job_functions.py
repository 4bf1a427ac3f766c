"""Which functions may be run as jobs: those that an app's modules have marked with ``@fleet.job``.

What the store says is never trusted: who can write to it can name a function, and only one that is marked
is run; and a module of the app is imported for that only where its source marks such a function.
"""

from __future__ import annotations

import ast
import importlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from service.apps.imports import ImportSpace
from service.apps.when_imported import imported

__all__ = (
    "JobOptions",
    "any_imported",
    "any_in_directory",
    "find_function",
    "imported_function",
    "job",
    "name_of_function",
    "options_of",
)

P = ParamSpec("P")
T = TypeVar("T")

MARK_ATTRIBUTE = "__fleet_job__"

MAX_ATTEMPTS = 100
MAX_SECONDS = 30 * 24 * 3600.0

MAX_FILES = 1000
"""That are looked at for marks; a directory with more may be anything, such as an environment."""

_NAME = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class JobOptions:
    attempts: int
    time_limit: float
    retention: float
    retry: tuple[type[Exception], ...]


@overload
def job(func: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def job(
    *,
    attempts: int = 3,
    time_limit: float = 3600.0,
    retention: float = 24 * 3600.0,
    retry: tuple[type[Exception], ...] = (),
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def job(
    func: Callable[..., Any] | None = None,
    /,
    *,
    attempts: int = 3,
    time_limit: float = 3600.0,
    retention: float = 24 * 3600.0,
    retry: tuple[type[Exception], ...] = (),
) -> Any:
    """Mark a function of a module as one that workers may run: ``@fleet.job`` or ``@fleet.job(attempts=1)``.

    It stays a function that can be called. Workers import its module, so it cannot be in a session's script
    or in the hooks. Plain functions run on a thread, coroutine functions on the worker's event loop.

    ``attempts`` is how often a job may be begun: it is begun again when its worker dies, and when it raises
    one of ``retry`` (after 2, 4, 8, ... seconds, a minute at most). ``time_limit`` is for each attempt, in
    seconds; ``retention`` is for how many seconds the result can be found, a month at most.

    Raises ValueError for bounds that make no sense, RuntimeError for a function that workers cannot import.
    """
    options = JobOptions(attempts, time_limit, retention, tuple(retry))
    _check(options)

    def mark(func: Callable[..., Any]) -> Callable[..., Any]:
        _check_importable(func)
        setattr(func, MARK_ATTRIBUTE, options)
        _any_here.set()
        return func

    return mark if func is None else mark(func)


_any_here = threading.Event()
"""A function was marked in this process."""


def any_imported() -> bool:
    """Whether a module that marks functions was imported in this process, for whichever app."""
    return _any_here.is_set()


def any_in_directory(imports: ImportSpace) -> bool:
    """Whether a module in the app's directory marks functions; also where it has too many to look at."""
    files = list(islice(_files(imports), MAX_FILES + 1))
    return len(files) > MAX_FILES or any(_marks(each.read_text("utf-8", "replace")) for each in files)


def options_of(func: Callable[..., Any]) -> JobOptions:
    """Raises TypeError for one that is not marked."""
    options = getattr(func, MARK_ATTRIBUTE, None)
    if not isinstance(options, JobOptions):
        name = getattr(func, "__qualname__", repr(func))
        raise TypeError(f"{name} is no job: put it into a module of the app, and @fleet.job before it")
    return options


def name_of_function(func: Callable[..., Any], imports: ImportSpace) -> str:
    """The same in each process that has the app, whatever its other apps are."""
    module: str = func.__module__
    if imports.directory is not None:
        module = module.removeprefix(f"{imports.directory.package}.")
    return f"{module}:{func.__qualname__}"


def find_function(name: str, imports: ImportSpace) -> Callable[..., Any] | None:
    """The marked function of that name; None where there is none. Raises what importing its module raises."""
    found = imported_function(name, imports)
    parts = _NAME.fullmatch(name)
    if found is not None or parts is None:
        return found
    module_name, attribute = parts.groups()
    if not _marks(_source(module_name, imports), attribute):
        return None
    with imports.entered():
        importlib.import_module(module_name)  # waits where another thread is about to
    return imported_function(name, imports)


def imported_function(name: str, imports: ImportSpace) -> Callable[..., Any] | None:
    """As :func:`find_function`, in the modules that are imported already. Runs no code of the app."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    module_name, attribute = parts.groups()
    module = imported(imports.directory.key(module_name) if imports.directory else module_name)
    func = getattr(module, attribute, None)
    return func if isinstance(getattr(func, MARK_ATTRIBUTE, None), JobOptions) else None


def _source(module: str, imports: ImportSpace) -> str:
    """Of a module in the app's directory; empty where there is none."""
    directory = imports.directory
    if directory is None or module.partition(".")[0] not in directory.names:
        return ""
    base = Path(directory.path, *module.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file.read_text(encoding="utf-8", errors="replace")
    return ""


def _files(imports: ImportSpace) -> Iterator[Path]:
    """Of all modules that could be imported from the app's directory."""
    directory = imports.directory
    if directory is None:
        return
    for name in directory.names:
        base = Path(directory.path, name)
        found = base.rglob("*.py") if base.is_dir() else [base.with_suffix(".py")]
        yield from (file for file in found if file.is_file())


def _marks(source: str, function: str | None = None) -> bool:
    """Whether it has a function of that name, or any, under ``@fleet.job``, ``@job`` or the like."""
    if "job" not in source:
        return False
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return False
    return any(
        isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
        and function in (None, each.name)
        and any(map(_is_mark, each.decorator_list))
        for each in statements
    )


def _is_mark(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    if isinstance(decorator, ast.Attribute):
        return decorator.attr == "job"
    return isinstance(decorator, ast.Name) and decorator.id == "job"


def _check(options: JobOptions) -> None:
    if not 1 <= options.attempts <= MAX_ATTEMPTS:
        raise ValueError(f"attempts is between 1 and {MAX_ATTEMPTS}, not {options.attempts!r}")
    for name in ("time_limit", "retention"):
        seconds = getattr(options, name)
        if not 0 < seconds <= MAX_SECONDS:
            raise ValueError(
                f"{name} is in seconds, above zero and at most {MAX_SECONDS:.0f}, not {seconds!r}"
            )
    for each in options.retry:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise ValueError(f"retry is a tuple of exceptions, and {each!r} is none")


def _check_importable(func: Callable[..., Any]) -> None:
    module, name = str(getattr(func, "__module__", "")), str(getattr(func, "__qualname__", ""))
    if module.startswith("bokeh_app_"):  # as bokeh (3.9 and 3.10) names what it runs: scripts and hooks
        raise RuntimeError(
            f"workers do not run the app's script, so {name} has to be in a module beside it, with @fleet.job"
        )
    if not name.isidentifier():
        raise RuntimeError(f"@fleet.job is for functions at the top of a module, and {name} is none")
