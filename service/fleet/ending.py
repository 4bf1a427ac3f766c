"""Ending a session from anywhere: whoever asks leaves word in the store, and the owner does it.

So the app's hooks run where the session lives. Where its owner is gone nothing can run any more, and
the session ends in the store.
"""

from __future__ import annotations

import asyncio

from store.contract import SessionKey, Store

__all__ = ("begin_to_end", "end_session")

POLL_SECONDS = 0.2
"""Seconds between looks whether the owner has done it."""


async def end_session(store: Store, key: SessionKey, *, by: str = "") -> bool:
    """End the session wherever it is, and return when it is gone; False if there was none.

    It may move meanwhile. Waits for as long as the session's callbacks run, so callers set a
    timeout. ``by`` is who wants it, as they say themselves. Raises StoreError.
    """
    found = False
    while await begin_to_end(store, key, by=by):
        found = True
        await asyncio.sleep(POLL_SECONDS)
    return found


async def begin_to_end(store: Store, key: SessionKey, *, by: str = "") -> bool:
    """Ask the session's owner, or end it where there is none; False if there is no session.

    Does not wait for the owner. Raises StoreError.
    """
    record = await store.read(key)
    if record is None:
        return False
    owner, epoch = record.owner, record.epoch
    if not owner or not await store.ask_to_end(key, owner=owner, epoch=epoch, by=by):
        await store.end(key, owner=owner, epoch=epoch)
    return True
