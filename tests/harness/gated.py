"""An app whose builds take as long as a test wants; see `gated_app.py`."""

from __future__ import annotations

import shutil
from pathlib import Path


class Gated:
    """The app whose builds wait while the gate is closed; one of a directory where it has ``hooks``."""

    def __init__(self, directory: Path, *, hooks: str = "") -> None:
        script = Path(__file__).with_name("gated_app.py")
        self._folder = directory / script.stem if hooks else directory
        self._folder.mkdir(exist_ok=True)
        copy = Path(shutil.copy(script, self._folder / ("main.py" if hooks else script.name)))
        if hooks:
            (self._folder / "app_hooks.py").write_text(hooks)
        self.app = self._folder if hooks else copy
        self._closed = self._folder / "closed"

    def close(self) -> None:
        self._closed.touch()

    def open(self) -> None:
        self._closed.unlink()

    def fails(self) -> None:
        (self._folder / "fails").touch()

    def works(self) -> None:
        (self._folder / "fails").unlink()

    def makes_more(self) -> None:
        """Its runs from here on have another model."""
        (self._folder / "more").touch()
