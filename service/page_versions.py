"""Which Bokeh and which extensions a page was made with, and whether another version may serve it.

A page keeps the BokehJS that it was loaded with for as long as it is open, over any update of its server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

__all__ = ("LEGACY", "PageVersions")

BUFFERS_KEPT_SINCE = (3, 10)
"""BokehJS up to 3.9 drops the binary buffers of a pull that follows a reconnect (``connection.ts``)."""

_TEXT = re.compile(r"[0-9A-Za-z.+_-]{0,32}")


@dataclass(frozen=True, slots=True)
class PageVersions:
    """What a page says of itself, in its token."""

    bokeh: str = ""
    """Bokeh's version; empty when unknown."""
    extensions: str = ""
    """A digest over names and versions of the Bokeh extensions, such as Panel; empty when unknown."""
    embedded: bool = False
    """Within a page of somebody else's, by ``autoload.js``."""

    @classmethod
    def of(cls, versions: Mapping[str, str]) -> PageVersions:
        """From names (``bokeh`` and extensions) and their versions, as a heartbeat has them."""
        others = sorted((name, version) for name, version in versions.items() if name != "bokeh")
        digest = blake2b(json.dumps(others).encode(), digest_size=4).hexdigest()
        return cls(versions.get("bokeh", ""), digest if versions else "")

    @classmethod
    def from_text(cls, text: Any) -> PageVersions:
        """The reverse of :attr:`text`; nothing is known where that is no such text."""
        bokeh, _, rest = (text if isinstance(text, str) else "").partition(" ")
        extensions, _, embedded = rest.partition(" ")
        if not (_TEXT.fullmatch(bokeh) and _TEXT.fullmatch(extensions)):
            return cls()
        return cls(bokeh, extensions, embedded == "embedded")

    @property
    def text(self) -> str:
        """Short, for tokens and headers."""
        return f"{self.bokeh} {self.extensions}" + (" embedded" if self.embedded else "")

    @property
    def line(self) -> tuple[int, int]:
        """Major and minor version of Bokeh; (0, 0) when unknown."""
        match = re.match(r"(\d+)\.(\d+)", self.bokeh)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    @property
    def keeps_buffers(self) -> bool:
        """Whether the page takes binary buffers with any pull, not with its first one alone."""
        return self.line >= BUFFERS_KEPT_SINCE

    def made_as(self, other: PageVersions) -> bool:
        """Whether both have the very same files."""
        return replace(self, embedded=False) == replace(other, embedded=False)

    def has_extensions_of(self, other: PageVersions) -> bool:
        """Whether models of extensions that ``other`` serves can be drawn here.

        Where nothing is known of the extensions, the same line of Bokeh has to do.
        """
        if self.extensions and other.extensions:
            return self.extensions == other.extensions
        return self.line == other.line


LEGACY = PageVersions("3.9")
"""What tokens of ours without any versions stand for: releases that wrote such ran on Bokeh 3.9 alone."""
