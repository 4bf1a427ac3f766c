"""An import space per app directory: an app's own ``helpers.py`` (or ``store.py``) wins in its code.

Nothing is put into place for that when app code runs, and nothing taken away: see
:mod:`service.apps.app_directories`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.apps import import_hooks
from service.apps.app_directories import AppDirectory, directory_at, handed_down, running_app

__all__ = ("ImportSpace", "adopt")


class ImportSpace:
    """The modules that live in one app directory. Two spaces of one directory are the same."""

    def __init__(self, directory: Path | None) -> None:
        self.directory: AppDirectory | None = directory_at(str(directory.resolve())) if directory else None
        if directory:
            import_hooks.install()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Code inside is the app's also where its file does not tell (``exec``, imports by name)."""
        token = running_app.set(self.directory)
        try:
            yield
        finally:
            running_app.reset(token)

    def files(self) -> Iterator[Path]:
        """The files of the app's own modules that were imported so far."""
        for name in sorted(self.directory.loaded) if self.directory else ():
            file = getattr(sys.modules.get(name), "__file__", None)
            if file and file.endswith(".py"):
                yield Path(file)

    def sources(self) -> Iterator[str]:
        """The source code of those modules."""
        for file in self.files():
            yield file.read_text(encoding="utf-8", errors="replace")

    def forget(self) -> None:
        """Drop the app's own modules, so that they are read again."""
        if self.directory is not None:
            self.directory.forget()
            import_hooks.install()


_adopted: list[ImportSpace] = []


def adopt() -> None:
    """In a child process that began afresh: know the directories of the parent's apps."""
    _adopted.extend(ImportSpace(Path(path)) for path in handed_down())
