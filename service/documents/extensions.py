"""Bokeh extensions that are installed, such as Panel: where their files are and of which version."""

from __future__ import annotations

import json
import os
import sys
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import bokeh
from bokeh.embed.bundle import extension_dirs

from service.page_versions import PageVersions

__all__ = ("extension_directory", "extension_version", "installed_versions", "made_with")

_EXTENSION = "bokeh.ext.json"


def extension_directory(name: str) -> Path | None:
    """Where the static files of an installed Bokeh extension are.

    Also of one that nobody has imported here: the page that asks may be another replica's.
    """
    base = _package(name)
    return extension_dirs.get(name) or (None if base is None else (base / _main_file(base)).parent)


@lru_cache(maxsize=256)
def extension_version(name: str) -> str:
    """The version of an installed extension's files, from its ``package.json``; "" when there is none."""
    base = _package(name)
    return "" if base is None else str(_described(base).get("version", ""))


@cache
def installed_versions() -> dict[str, str]:
    """Versions of Bokeh and of all installed Bokeh extensions, whether or not an app has imported them.

    So all replicas of one image say the same, from their start on. Reads the folders of ``sys.path``.
    """
    names = {name for place in sys.path for name in _extensions_in(place or ".")}
    found = {name: extension_version(name) for name in sorted(names) if _package(name)}
    return {"bokeh": bokeh.__version__, **found}


def _extensions_in(place: str) -> list[str]:
    """The folders there that have an extension's files."""
    try:
        names = os.listdir(place)
    except OSError:  # an archive, or no folder at all
        return []
    return [name for name in names if "." not in name and os.path.isfile(f"{place}/{name}/{_EXTENSION}")]


@cache
def made_with() -> PageVersions:
    """What pages and Documents are made with in this process."""
    return PageVersions.of(installed_versions())


@lru_cache(maxsize=256)
def _package(name: str) -> Path | None:
    """As bokeh 3.9 finds it when it makes a bundle. Top-level packages are found without an import."""
    if not name.isidentifier() or name in sys.builtin_module_names or name == "__main__":
        return None
    spec = find_spec(name)
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / _EXTENSION).is_file():
            return Path(place)
    return None


def _main_file(base: Path) -> str:
    described = _described(base)
    return str(described.get("module") or described.get("main") or "dist/index.js")


def _described(base: Path) -> dict[str, object]:
    package = base / "package.json"
    return dict(json.loads(package.read_text(encoding="utf-8"))) if package.is_file() else {}
