"""From paths on the command line to apps: ``sliders.py`` is served at ``/sliders``.

Everything that is wrong with an app before it ever runs is said here, in one line.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers import DirectoryHandler, NotebookHandler, ScriptHandler
from bokeh.application.handlers.handler import Handler

from service.apps.app import App, sources_of
from service.apps.imports import ImportSpace
from service.apps.panel import application_of_files, markdown_handler, panels_application
from service.apps.patterns import pattern_of
from service.apps.process_state import run_apart
from service.errors import AppLoadError

__all__ = ("apps_from_applications", "load_apps", "reload_app", "with_app_at_root")

log = logging.getLogger(__name__)


def load_apps(
    paths: Iterable[str], argv: Sequence[str] = (), *, patterns: bool = False, broken_too: bool = False
) -> dict[str, App]:
    """The apps at ``paths`` by URL path; with no paths, an empty app at ``/`` for pushed sessions.

    With ``patterns`` the paths are globs. With ``broken_too`` an app whose code cannot be read is one that
    shows why, until :func:`reload_app` can read it.

    Raises :class:`AppLoadError`: no such path, syntax error, nothing to run, two apps on one URL.
    """
    found = [Path(path).expanduser() for path in (_expanded(paths) if patterns else paths)]
    # All of them before any code runs: which names several apps have decides what a module is called.
    spaces = [_space(path) for path in found]
    apps: dict[str, App] = {}
    for path, space in zip(found, spaces, strict=True):
        app = _load(path, argv, space, broken_too=broken_too)
        if app.path in apps:
            raise AppLoadError(f"two apps want the URL path {app.path}: rename {path}")
        apps[app.path] = app
    return apps or {"/": App("/", Application(), ImportSpace(None))}


def with_app_at_root(apps: Mapping[str, App], index: str) -> dict[str, App]:
    """And the app that ``index`` names (``--index``) at the root, too. Raises AppLoadError."""
    name = Path(index).name
    found = apps.get(f"/{name}") or apps.get(f"/{name.removesuffix(Path(name).suffix)}")
    if found is None:
        raise AppLoadError(f"--index {index}: it is no template, and none of the apps")
    if "/" in apps:
        raise AppLoadError(f"--index {index}: there is an app at the root already")
    return {**apps, "/": App("/", found.application, found.imports, file=found.file)}


def _expanded(patterns: Iterable[str]) -> Iterator[str]:
    """The paths that each pattern stands for; one that fits nothing is an error, not an empty server."""
    for pattern in patterns:
        found = sorted(glob.glob(str(Path(pattern).expanduser())))
        if not found:
            raise AppLoadError(f"nothing matches {pattern} (--glob)")
        yield from found


def apps_from_applications(applications: Mapping[str, Application | os.PathLike[str]]) -> dict[str, App]:
    """Apps around ready-made ``Application`` objects, or from files, by URL path, which may be a pattern.

    Raises ConfigError, and AppLoadError for files.
    """
    paths = {
        url: Path(each).expanduser() for url, each in applications.items() if isinstance(each, os.PathLike)
    }
    spaces = {url: _space(path) for url, path in paths.items()}  # all of them before any code runs
    return {
        url: _load(paths[url], (), spaces[url], url=url)
        if isinstance(found, os.PathLike)
        else App(url, found, ImportSpace(None), pattern=pattern_of(url))
        for url, found in applications.items()
    }


def reload_app(app: App, path: Path, argv: Sequence[str]) -> None:
    """Read the files of ``app`` again. Raises AppLoadError, and leaves the app as it was."""
    app.imports.forget()
    with app.imports.entered(), run_apart(loads=True):
        handler = _handler(path, list(argv))
    if handler.failed:
        raise AppLoadError(_why(path, handler))
    app.replace(_application(handler, path))


def _space(path: Path) -> ImportSpace:
    directory = path if path.is_dir() else path.parent
    return ImportSpace(directory if directory.is_dir() else None)


def _load(
    path: Path, argv: Sequence[str], space: ImportSpace, *, url: str | None = None, broken_too: bool = False
) -> App:
    with space.entered(), run_apart(loads=True):
        handler = _handler(path, list(argv))
    # Of one that failed the handler does not say (bokeh 3.9 and 3.10).
    pattern = None if url is None else pattern_of(url)  # a file's name is none
    url = url or handler.url_path() or f"/{path.resolve().name.removesuffix(path.suffix)}"
    if not handler.failed:
        with space.entered():
            return App(url, _application(handler, path), space, pattern=pattern, file=path)
    if not broken_too:
        raise AppLoadError(_why(path, handler))
    app = App(url, Application(), space, file=path)
    why = _why(path, handler)
    log.error("%s", why)
    app.breaks(why)
    return app


def _why(path: Path, handler: Handler) -> str:
    return f"cannot load {path}: {_one_line(handler.error)}"


def _application(handler: Handler, path: Path) -> Application:
    if path.suffix == ".md":
        return panels_application(handler)
    directory = path if path.is_dir() else path.parent
    files = path.glob("*.py") if path.is_dir() else ()
    modules = (file.read_text("utf-8", errors="replace") for file in files)
    return application_of_files(handler, [*sources_of(handler), *modules], directory)


def _handler(path: Path, argv: list[str]) -> Handler:
    filename = str(path.resolve())
    try:
        if path.is_dir():
            return DirectoryHandler(filename=filename, argv=argv)
        if not path.is_file():
            raise AppLoadError(f"there is no app at {path}")
        if path.suffix == ".ipynb":
            return NotebookHandler(filename=filename, argv=argv)
        if path.suffix == ".py":
            return ScriptHandler(filename=filename, argv=argv)
        if path.suffix == ".md":
            return markdown_handler(filename, argv)
    except (ValueError, OSError, RuntimeError) as error:
        raise AppLoadError(f"cannot load {path}: {_one_line(str(error))}") from error
    raise AppLoadError(
        f"{path} is no app: expected a .py file, an .ipynb notebook, an .md document or a directory"
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "unknown error").split())
