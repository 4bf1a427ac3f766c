"""Panel's own pages beside the apps' (panel 1.9 and 1.10): its list of apps, and its icon.

What they show is from this server: Google's fonts, which only these pages name, are left out.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ("IndexItem", "index_items", "index_template", "index_variables", "panel_icon", "without_fonts")

_SERVER = "panel.io.server"
_PAGES = "panel.io.pages"

_FONTS = re.compile(
    r'\s*<link\b[^>]*href="https://fonts\.(?:googleapis\.com(?:"|/css2\?family=(?:Roboto|Kumbh))|gstatic)[^>]*>'
)
"""Where their host cannot be reached, browsers would wait for them."""


class IndexItem(str):
    """An app's path, as templates of ``bokeh serve`` have it; those of ``panel serve`` unpack it."""

    __slots__ = ("_pair",)
    _pair: tuple[str, str]

    @classmethod
    def of(cls, path: str, slug: str, title: str) -> IndexItem:
        item = cls(path)
        item._pair = slug, title
        return item

    def __iter__(self) -> Iterator[str]:
        return iter(self._pair)


def index_items(paths: Iterable[str], titles: Mapping[str, str], root: str) -> list[IndexItem]:
    """Sorted by title. ``root`` is where our URLs begin, without a slash at the end.

    Panel's templates link to ``.`` and the slug.
    """
    items = [IndexItem.of(path, root.removeprefix(".") + path, titles[path]) for path in paths]
    return sorted(items, key=lambda item: titles[item])


def index_template() -> Path:
    """Panel's list of apps. Imports Panel."""
    return Path(importlib.import_module(_SERVER).INDEX_HTML).resolve()


def index_variables(root: str) -> dict[str, Any]:
    """What Panel's templates use besides the list of apps; nothing where Panel was not imported."""
    if _SERVER not in sys.modules:
        return {}
    variables: dict[str, Any] = {"PANEL_CDN": f"{root}/static/extensions/panel/"}
    if (pages := sys.modules.get(_PAGES)) is not None:  # 1.10
        variables["page"] = pages.page_theme
    return variables


def without_fonts(page: str) -> str:
    """A page of Panel's own."""
    return _FONTS.sub("", page)


def panel_icon() -> Path:
    """Imports Panel."""
    images: Path = importlib.import_module("panel.io.resources").DIST_DIR / "images"
    return images / "favicon.ico"
