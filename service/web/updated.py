"""A page that was loaded again because the app was updated under it; see :mod:`service.sessions.notice`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from service.sessions.notice import UPDATED_ARGUMENT

__all__ = ("UPDATED_ARGUMENT", "after_update", "into_body", "with_losses")

_TEMPLATES = Path(__file__).parent / "templates"
_CLEAN_ADDRESS = (_TEMPLATES / "clean_address.js").read_text(encoding="utf-8").strip()
_LOSSES = (_TEMPLATES / "losses.html").read_text(encoding="utf-8").strip()

MAX_LOSSES_SHOWN = 10


def after_update(page: str) -> str:
    """The page, which takes out of its address what brought it back to its session.

    Else a reload by its user would not begin a new session, and an address that is passed on would share one.
    """
    return into_body(page, f"<script>{_CLEAN_ADDRESS}</script>")


def with_losses(page: str, losses: Sequence[str]) -> str:
    """The page, which says what could not be restored."""
    if not losses:
        return page
    shown = list(losses[:MAX_LOSSES_SHOWN])
    if len(losses) > len(shown):
        shown.append(f"and {len(losses) - len(shown)} more")
    items = "".join(f"<li>{html.escape(each)}</li>" for each in shown)
    return into_body(page, _LOSSES.replace("{{ losses }}", items))


def into_body(page: str, more: str) -> str:
    """The page, with ``more`` at its end."""
    before, end, after = page.rpartition("</body>")
    return f"{before}{more}{end}{after}" if end else page + more
