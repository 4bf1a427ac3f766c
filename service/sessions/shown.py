"""What pages are shown of a session that sleeps."""

from __future__ import annotations

import asyncio

from service.documents.composing import Composed, compose
from store.contract import JournalFields

__all__ = ("shown_of",)

LARGE = 32 * 1024
"""Bytes of a record from which a thread puts the answer together: below it takes a millisecond or two."""


async def shown_of(fields: JournalFields, version: str, *, inline: bool) -> Composed:
    """The answer to a pull, of its record. ``version`` is that of the app's code. Raises NotComposable."""
    if sum(map(len, fields.values())) < LARGE:
        return compose(fields, version=version, inline=inline)
    return await asyncio.to_thread(compose, fields, version=version, inline=inline)
