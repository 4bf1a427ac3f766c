"""Which code an app has, as a digest: that of its own, with all modules of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from service.apps.app import App

__all__ = ("AppCode",)

MAX_FILES = 2000
"""Of a folder; who has more has something else in it."""


class AppCode:
    """Read when it is first asked for, and again after ``--dev`` has reloaded the app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known = ("", "")

    def __call__(self) -> str:
        version, known = self._known
        if version != self._app.version:
            version = self._app.version
            known = _digest(_folders(self._app), version)
            self._known = (version, known)
        return known


def _folders(app: App) -> list[Path]:
    """Those of directory apps (bokeh 3.9 and 3.10: ``DirectoryHandler._path``)."""
    paths = [getattr(handler, "_path", None) for handler in app.application.handlers]
    return [Path(path) for path in paths if isinstance(path, str) and Path(path).is_dir()]


def _digest(folders: list[Path], version: str) -> str:
    digest = blake2b(version.encode(), digest_size=8)
    for folder in folders:
        for path in sorted(islice(_python_files(folder), MAX_FILES)):
            content = _content(path)
            name = f"{path.relative_to(folder)} {len(content)}\n"
            digest.update(name.encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """Nothing where it cannot be read: then the app cannot, either."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _python_files(folder: Path) -> Iterator[Path]:
    """But for hidden ones (Emacs locks ``main.py`` by a link ``.#main.py`` to no file), and environments of
    Python or Node.
    """
    for parent, names, files in os.walk(folder):
        names[:] = [] if "pyvenv.cfg" in files else sorted(filter(_may_be_own, names))
        yield from (Path(parent, file) for file in files if _is_python(file))


def _may_be_own(folder: str) -> bool:
    return not folder.startswith(".") and folder not in ("node_modules", "__pycache__")


def _is_python(file: str) -> bool:
    return file.endswith(".py") and not file.startswith(".")
