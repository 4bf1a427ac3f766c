"""Files that classes of Panel's components and templates name: ``/components/…`` (panel 1.9 and 1.10).

``panel serve`` imports whatever module a URL names. Here strangers can have imported only what an app's own
code imports, which a replica that has not run the app yet may have to do now.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tornado.web import HTTPError

from service.apps.app import App, sources_of
from service.apps.imported_packages import imported_modules

__all__ = ("component_file",)

log = logging.getLogger(__name__)

_SERVER = "panel.io.server"


def component_file(path: str, apps: Iterable[App]) -> Path | None:
    """The file of ``<module>/<class>/<attribute>/<path>``; None if no such component names one.

    Runs on the event loop, as all code of apps.
    """
    name = path.partition("/")[0]
    if _SERVER not in sys.modules and not any(app.panel for app in apps):
        return None
    if name not in sys.modules and not _load(name, apps):
        return None
    handler: Any = importlib.import_module(_SERVER).ComponentResourceHandler
    if not _is_class(name, path):
        return None
    try:
        # Panel's own rules: what the class itself lists, letter by letter, and nothing else.
        found = handler.parse_url_path(SimpleNamespace(_resource_attrs=handler._resource_attrs), path)
    except (HTTPError, AttributeError, TypeError, ValueError) as error:
        log.debug("no file of a component is at %s: %s", path, error)
        return None
    return Path(found)


def _is_class(module: str, path: str) -> bool:
    name = path.split("/")[1:2]
    return bool(name) and isinstance(getattr(sys.modules[module], name[0], None), type)


def _load(name: str, apps: Iterable[App]) -> bool:
    """Import the module if an app that was not run here imports it. Whether it is there now."""
    for app in apps:
        if app.panel and not app.built:
            _load_for(app, name)
    return name in sys.modules


def _load_for(app: App, name: str) -> None:
    directory = app.imports.directory
    place = None if directory is None else Path(directory.path)
    wanted = name if directory is None else name.removeprefix(f"{directory.package}.")
    top = wanted.partition(".")[0]
    sources = [source for handler in app.application.handlers for source in sources_of(handler)]
    for each in sorted(imported_modules(sources, place)):
        if each.partition(".")[0] == top:
            _import(app, each if directory is None else directory.key(each))


def _import(app: App, name: str) -> None:
    with app.imports.entered():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            return  # what is imported from a module need not be one
        except Exception:
            log.exception("%s: a module of the app cannot be imported: %s", app.path, name)
