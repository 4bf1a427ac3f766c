"""Results that one replica computes and all use, in Redis: part of :class:`store.redis_store.RedisStore`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from store.errors import RecordDamaged
from store.keys import Keys
from store.link import Link
from store.pieces import Pieces
from store.results import FoundResult, KeptResult, ResultName, ResultState
from store.scripts import Command, load
from store.values import StoredValues

__all__ = ("RedisResults",)

_VOID = 60.0
"""Seconds in which what was begun before is not kept. Who computes it asks each second whether it is so."""

_WEIGHT = 8
"""As journals: a result may have MBs, and must leave time for what others ask in the same pipeline."""


class RedisResults:
    """Implements :class:`store.results.Results`."""

    _link: Link
    _keys: Keys
    _values: StoredValues

    async def find_result(
        self, name: ResultName, key: str, *, call: str, known: str = "", unreadable: str = "", lease: float
    ) -> FoundResult:
        field, keys = self._result(name, key)
        find = load("result_find")(keys, field, call, known, _ms(lease), unreadable)
        read = Command(("HGET", keys[0], field), weight=_WEIGHT)
        reply, *data = await self._link.pipe([find] if known else [find, read])
        found = _found(*reply)
        if found.state is not ResultState.THERE:
            return found
        encoded = data[0] if data else await self._link.run(read)
        return self._with_data(name.tag, field, found, encoded)

    def _with_data(self, tag: str, field: str, found: FoundResult, encoded: bytes | None) -> FoundResult:
        if encoded is None:
            return replace(found, damage="it was removed in this very moment")
        try:
            return replace(found, data=self._values.read_result(tag, field, encoded))
        except RecordDamaged as error:
            return replace(found, damage=str(error))

    async def renew_result(
        self, name: ResultName, key: str, *, call: str, generation: str, lease: float
    ) -> bool:
        _, keys = self._result(name, key)
        return bool(await self._link.run(load("result_renew")(keys, call, generation, _ms(lease))))

    async def keep_result(
        self,
        name: ResultName,
        key: str,
        data: bytes | Pieces,
        *,
        call: str,
        generation: str,
        ttl: float,
        max_bytes: int,
    ) -> KeptResult:
        field, keys = self._result(name, key)
        value = self._values.result(name.tag, field, data)
        lifetime = _ms(ttl) if ttl else 0
        kept, evicted, size = await self._link.run(
            load("result_keep")(keys, field, call, generation, value, lifetime, max_bytes)
        )
        return KeptResult(bool(kept), int(evicted), int(size))

    async def give_up_result(
        self, name: ResultName, key: str, *, call: str, generation: str, apart: float = 0.0
    ) -> None:
        _, keys = self._result(name, key)
        await self._link.run(load("result_give_up")(keys, call, generation, _ms(apart) if apart else 0))

    async def forget_results(self, name: ResultName, key: str | None = None) -> int:
        field, keys = self._result(name, key or "")
        forget = load("result_forget")(keys, field if key else "", os.urandom(8).hex(), _ms(_VOID))
        return int(await self._link.run(forget))

    def _result(self, name: ResultName, key: str) -> tuple[str, list[Any]]:
        field = self._values.result_field(name.tag, key)
        return field, self._keys.results(name.tag, field)


def _found(state: bytes, id_: bytes, ms: bytes, generation: bytes) -> FoundResult:
    seconds = max(0, int(ms)) / 1000
    if state == b"held":
        return FoundResult(ResultState.HELD, generation.decode(), left=seconds)
    return FoundResult(ResultState(state.decode()), generation.decode(), id_.decode(), seconds)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
