"""Writes the generated parts of the Markdown in docs/ anew from what the code says (`make docs`).

A part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`, where NAME is in `PARTS`. A test
runs `stale()`, so a new option, key family or script cannot go undocumented.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gallery_text
import metrics_table

from service.cli.panel_flags import INSTEAD, SAME
from service.patches import PATCHES, Patch
from service.sessions.life import DEPARTURES, TRANSITIONS, Action, Departure, State
from service.settings import options_table
from store.keys import FAMILIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SCRIPTS = ROOT / "store" / "lua"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def main() -> int:
    for path, text in stale().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


def stale() -> dict[Path, str]:
    """The files that do not say what the code says, with what they should say."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {path: new for path, text in texts.items() if (new := render(text)) != text}


def render(text: str) -> str:
    """`text` with its generated parts made anew. KeyError for a part that nobody makes."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def key_families() -> str:
    rows = [
        (f"`{family.pattern}`", family.type, family.ttl, family.slot, family.writer) for family in FAMILIES
    ]
    return _table(("key", "type", "expires", "slot of", "written by"), rows)


def scripts() -> str:
    names = sorted(path for path in SCRIPTS.glob("*.lua") if not path.name.startswith("_"))
    return _table(("script", "what it does"), [(f"`{path.stem}`", _purpose(path)) for path in names])


def _purpose(path: Path) -> str:
    """The first sentence of the script's header."""
    header = path.read_text(encoding="utf-8").split("\n--\n", 1)[0]
    text = " ".join(line.removeprefix("--").strip() for line in header.splitlines())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def panel_flags() -> str:
    """What ``panel serve`` adds to the flags of ``bokeh serve``."""
    here = [(f"`{flag}`", "the same", text) for flag, text in SAME.items()]
    instead = [(f"`{flag}`", "no", text) for flag, text in INSTEAD.items()]
    return _table(("`panel serve`", "here", "difference, or what to do instead"), sorted([*here, *instead]))


def session_life() -> str:
    """The transitions that change the state, as a diagram."""
    moves = [
        f"    {state} --> {then}: {event}" + ("" if do is Action.NOTHING else f" / {do}")
        for (state, event), (then, do) in TRANSITIONS.items()
        if then is not state
    ]
    first, last = f"    [*] --> {State.CLAIMING}", f"    {State.GONE} --> [*]"
    return "\n".join(["```mermaid", "stateDiagram-v2", first, *moves, last, "```", ""])


def departures() -> str:
    columns = ("it leaves because it is", "journal", "the store", "clients are told (1012)", "counted as")
    return _table(columns, [(reason, *_departure(each)) for reason, each in DEPARTURES.items()])


def _departure(departure: Departure) -> tuple[str, str, str, str]:
    closing = departure.closing
    told = "" if closing is None else closing.close.reason
    if closing is not None and closing.patience is not None:
        told += f", within {closing.patience:g} s"
    written = "written" if departure.writes else ""
    return written, departure.told, told, f"`{departure.metric}`" if departure.metric else ""


def metrics() -> str:
    return _table(("metric", "type", "labels", "what it says"), metrics_table.rows())


def patches() -> str:
    columns = ("in `service`", "replaces", "read for", "why", "put in", "test")
    return _table(columns, [_patch(each) for each in PATCHES])


def _patch(patch: Patch) -> tuple[str, ...]:
    module = getattr(patch.module, "__name__", "").removeprefix("service.")
    targets = ", ".join(f"`{each}`" for each in patch.targets)
    return f"`{module}`", targets, patch.versions, patch.why, patch.when, f"`{patch.test}`"


PARTS: Mapping[str, Callable[[], str]] = {
    "options": options_table,
    "departures": departures,
    "key_families": key_families,
    "gallery": gallery_text.markdown,
    "metrics": metrics,
    "panel_flags": panel_flags,
    "patches": patches,
    "scripts": scripts,
    "session_life": session_life,
}


if __name__ == "__main__":
    sys.exit(main())
