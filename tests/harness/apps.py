"""Small apps written for one test, which count how often they were run, in whichever process."""

from __future__ import annotations

import textwrap
from pathlib import Path

_COUNTING = """\
import os
with open({log!r}, "a") as run_log:
    run_log.write(f"{{os.getpid()}}\\n")
"""

_BODY = """\
from bokeh.io import curdoc
from bokeh.models import Slider
curdoc().add_root(Slider(name="slider", start=0, end=10, value=1, step=1))
"""


class CountedApp:
    """An app `name` in `folder` that notes the process id of each of its runs.

    A single module, or, with any `files` (relative path → text), a directory app with `main.py`.
    """

    def __init__(
        self, folder: Path, name: str = "counted", *, body: str = _BODY, files: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.run_log = folder / f"{name}.runs"
        self.path = folder / (name if files else f"{name}.py")
        source = _COUNTING.format(log=str(self.run_log)) + textwrap.dedent(body)
        for part, text in ({"main.py": source, **files} if files else {"": source}).items():
            written = self.path / part if part else self.path
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(textwrap.dedent(text))

    @property
    def runs(self) -> list[int]:
        """The process id of each run so far, in order."""
        if not self.run_log.exists():
            return []
        return [int(line) for line in self.run_log.read_text().split()]
