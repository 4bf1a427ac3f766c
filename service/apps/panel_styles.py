"""Style sheets that Panel's designs name at an npm CDN, from the copies that Panel has of them.

With ``design="material"`` each model has such a one (panel 1.9; 1.10 where the page has no template).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from bokeh.core.property.descriptors import UnsetValueError

from service.apps.when_imported import imported, when_imported

__all__ = ("install",)


def install() -> None:
    """Idempotent."""
    when_imported("panel.io.resources", _replace)


def _replace(module: ModuleType) -> None:
    original: Callable[[Any, str], None] = getattr(module, "patch_stylesheet")  # noqa: B009
    if hasattr(original, "replaces"):
        return

    @wraps(original)
    def patch_stylesheet(stylesheet: Any, dist_url: str) -> None:
        own = _own_copy(module, stylesheet)
        if own is not None:
            stylesheet.url = own
        original(stylesheet, dist_url)

    patch_stylesheet.replaces = original  # type: ignore[attr-defined]
    setattr(module, "patch_stylesheet", patch_stylesheet)  # noqa: B010
    # Who has imported Panel before this server was made has it by that name.
    reactive = imported("panel.reactive")
    if reactive is not None and getattr(reactive, "patch_stylesheet", None) is original:
        reactive.patch_stylesheet = patch_stylesheet


def _own_copy(module: Any, stylesheet: Any) -> str | None:
    """The address of Panel's copy, as its other files are named before they get this server's."""
    try:
        url = stylesheet.url
    except (AttributeError, UnsetValueError):  # a text, or of a Document that has ended
        return None
    cdn = f"{module.config.npm_cdn}/"
    if not url.startswith(cdn):
        return None
    path = f"bundled/{url.removeprefix(cdn)}"
    return f"{module.CDN_DIST}{path}" if (module.DIST_DIR / path).is_file() else None
