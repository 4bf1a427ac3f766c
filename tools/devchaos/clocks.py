"""A clock that is wrong, and jumps while the process that reads it runs: by libfaketime, where that is.

As on a machine whose time of day is wrong: its monotonic clock is not, and neither are the times of files.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ("WrongClock", "no_libfaketime")

FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
NAME = "libfaketimeMT.so.1"
"""The one for processes with several threads."""


def no_libfaketime() -> str | None:
    """Why no clock can be wrong here; None when one can."""
    if platform.system() != "Linux":
        return "libfaketime is loaded in Linux' way"
    return None if any(_found()) else "libfaketime is not installed: apt-get install faketime"


def _found() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from Path("/").glob(f"{folder.strip('/')}/{NAME}")


class WrongClock:
    """Says what time it is by ``file``; a process with ``env`` looks there whenever it asks."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(next(_found())),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",  # else Python compiles all modules again, for everybody
            "FAKETIME_DISABLE_SHM": "1",  # which a killed process would leave behind
        }

    def set(self, seconds: float) -> None:
        """From now on it is so far ahead, or behind; it jumps there."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self._file)
