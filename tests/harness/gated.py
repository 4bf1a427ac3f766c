"""An app whose builds take as long as a test wants; see `gated_app.py`."""

from __future__ import annotations

import shutil
from pathlib import Path


class Gated:
    """The app whose builds wait while the gate is closed."""

    def __init__(self, directory: Path) -> None:
        self.app = Path(shutil.copy(Path(__file__).with_name("gated_app.py"), directory))
        self._closed = directory / "closed"

    def close(self) -> None:
        self._closed.touch()

    def open(self) -> None:
        self._closed.unlink()

    def fails(self) -> None:
        (self.app.parent / "fails").touch()

    def works(self) -> None:
        (self.app.parent / "fails").unlink()

    def makes_more(self) -> None:
        """Its runs from here on have another model."""
        (self.app.parent / "more").touch()
