"""What docs/gallery.md says beside the pictures, for which :mod:`generate_docs` needs no browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

# What there is to see without a login, another program, or a minute of computing.
SHOWN = (
    "sliders.py", "weather", "streaming.py", "explorer.py", "large_data", "counter", "text_button.py",
    "threads.py", "unlocked.py", "board.py", "chat", "nightly", "query.py", "computation", "notebook.ipynb",
    "custom_model.py",
)  # fmt: skip


def markdown() -> str:
    """The generated part: a picture, its name and what it shows, as the table in examples/README.md says."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    shows = dict(re.findall(r"^\| `([\w.]+)/?` \| (.+) \|$", text, re.MULTILINE))
    return "\n".join(_entries(shows))


def _entries(shows: dict[str, str]) -> Iterator[str]:
    for name in SHOWN:
        place = EXAMPLES / name
        code = place / "main.py" if place.is_dir() else place
        yield f"## {place.stem}\n"
        yield f"{shows[name][0].upper()}{shows[name][1:]}: [`{name}`](../{code.relative_to(ROOT)})\n"
        yield f"![{place.stem}](images/gallery/{place.stem}.png)\n"
