"""Cleans up after replicas that are gone: their index, then the sessions nobody took over.

Every step may be repeated, cut short or done by several replicas at once. A session's tag is in
the next list before it leaves the one before, and each discard is fenced by owner and epoch.
"""

from __future__ import annotations

from typing import Any

from store.keys import Keys
from store.link import Link
from store.scripts import Command, load

__all__ = ("Sweeper",)

_REMOVED_BY_CALLER = 1
"""What ``discard.lua`` answers to the caller that removed the record."""


class Sweeper:
    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def sweep(self, lifetime_ms: int, retention_ms: int, limit: int) -> int:
        await self._remove_expired()
        for replica in await self._gone():
            await self.bury(replica, lifetime_ms, limit=limit)
        return await self._discard_due(retention_ms, limit)

    async def _remove_expired(self) -> None:
        """fakeredis (2.41) keeps what has expired until somebody asks for that very key, or counts all."""
        if self._link.client.embedded:
            await self._link.send("DBSIZE")

    async def bury(self, replica: str, lifetime_ms: int, *, limit: int) -> bool:
        """Move up to ``limit`` of the replica's sessions to the unused ones; whether that was all."""
        index = self._keys.sessions(replica)
        tags = await self._link.send("SRANDMEMBER", index, limit)
        if tags:
            await self._link.run(load("mark")([self._keys.unused], lifetime_ms, *tags))
            await self._link.send("SREM", index, *tags)
        if len(tags) == limit:
            return False
        await self._link.send("ZREM", self._keys.replicas, replica)
        return True

    async def _gone(self) -> list[str]:
        """The listed replicas without a heartbeat."""
        replicas = [member.decode() for member in await self._link.send("ZRANGE", self._keys.replicas, 0, -1)]
        alive = await self._alive(replicas)
        return [replica for replica in replicas if replica not in alive]

    async def _alive(self, replicas: list[str]) -> set[str]:
        found = await self._link.pipe([Command(("EXISTS", self._keys.heartbeat(each))) for each in replicas])
        return {replica for replica, exists in zip(replicas, found, strict=True) if exists}

    async def _discard_due(self, retention_ms: int, limit: int) -> int:
        tags = [tag.decode() for tag in await self._link.run(load("due")([self._keys.unused], limit))]
        held = await self._link.pipe(
            [Command(("HMGET", self._keys.session(tag), "owner", "epoch")) for tag in tags]
        )
        owners = {tag: (by.decode(), epoch) for tag, (by, epoch) in zip(tags, held, strict=True) if by}
        alive = await self._alive(sorted({owner for owner, _ in owners.values()}))
        await self._index_again({tag: owner for tag, (owner, _) in owners.items() if owner in alive})
        abandoned = {tag: held for tag, held in owners.items() if held[0] not in alive}
        discarded = await self._discard(abandoned, retention_ms)
        if tags:
            await self._link.send("ZREM", self._keys.unused, *tags)
        return discarded

    async def _index_again(self, owners: dict[str, str]) -> None:
        """The owner was only late; its beat may have come between our looking and our moving its index."""
        await self._link.pipe(
            [Command(("SADD", self._keys.sessions(owner), tag)) for tag, owner in owners.items()]
        )

    async def _discard(self, owners: dict[str, tuple[str, Any]], retention_ms: int) -> int:
        replies = await self._link.pipe(
            [load("discard")(self._keys.record(tag), *held, retention_ms) for tag, held in owners.items()]
        )
        return replies.count(_REMOVED_BY_CALLER)
