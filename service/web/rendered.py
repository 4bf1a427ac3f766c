"""``--dev``: which code the pages were drawn with whose sockets have not come yet.

A page that a run of the app has drawn has a place for each root of that run. If the app changes before its
socket comes, BokehJS finds other roots, and draws nothing. (Later on it draws whatever changes.)
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ("RenderedPages",)

MAX_PAGES = 1000
"""Of which it is known; the sockets of others never came."""


class RenderedPages:
    """By token id. A generation is that of :attr:`service.apps.app.App.generation`."""

    def __init__(self) -> None:
        self._generations: OrderedDict[str, int] = OrderedDict()

    def drawn(self, token_id: str, generation: int) -> None:
        self._generations[token_id] = generation
        if len(self._generations) > MAX_PAGES:
            self._generations.popitem(last=False)

    def is_outdated(self, token_id: str, generation: int) -> bool:
        """Whether the page, whose socket comes now, was drawn by other code. Asked once per page."""
        return self._generations.pop(token_id, generation) != generation
