"""What a store owes to results that one replica computes and all use: the part of the contract for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from store.pieces import Pieces

__all__ = ("FoundResult", "KeptResult", "ResultName", "ResultState", "Results")


@dataclass(frozen=True, slots=True)
class ResultName:
    """Names all results of one function of an app."""

    app: str
    name: str

    @property
    def tag(self) -> str:
        """Stands for it in key names."""
        text = f"{self.app}\0{self.name}".encode("utf-8", "surrogatepass")
        return "c" + blake2b(text, digest_size=16).hexdigest()


class ResultState(StrEnum):
    THERE = "there"
    """It is there."""
    SAME = "same"
    """It is there, and the one that the caller knows."""
    COMPUTE = "compute"
    """It is not, and the caller has the lease to compute it."""
    HELD = "held"
    """It is not, and somebody else computes it."""
    APART = "apart"
    """It is not, and nobody should wait for anybody: see :meth:`Results.give_up_result`."""


@dataclass(frozen=True, slots=True)
class FoundResult:
    """Answer to :meth:`Results.find_result`."""

    state: ResultState
    generation: str
    """Another one after all results were forgotten; what is kept has to say which one it was begun in."""
    id: str = ""
    """With THERE and SAME: which result it is. Another one after it was computed again."""
    ttl: float = 0.0
    """With THERE and SAME: seconds that are left of it; 0 where it does not expire."""
    data: bytes = b""
    """With THERE."""
    damage: str = ""
    """With THERE: why ``data`` cannot be read."""
    left: float = 0.0
    """With HELD: seconds that are left of the lease."""


@dataclass(frozen=True, slots=True)
class KeptResult:
    """Answer to :meth:`Results.keep_result`."""

    kept: bool
    """False: it was forgotten while it was computed, somebody else computes it by now, or there is no room
    yet, though as many have gone as one call may evict."""
    evicted: int = 0
    """How many others had to go for it."""
    bytes: int = 0
    """What all results of the name have now."""


class Results(Protocol):
    """Keys are digests of arguments. All results of one name are bounded together."""

    async def find_result(
        self, name: ResultName, key: str, *, call: str, known: str = "", unreadable: str = "", lease: float
    ) -> FoundResult:
        """A result, or who computes it. Atomic; with the same ``call`` it answers the same.

        Finding counts as a use. Without ``known``, the id of the one that the caller has, its data comes
        along; with it, only if it is another one. What is there as ``unreadable`` is removed first. A lease
        ends by itself after ``lease`` seconds.
        """

    async def renew_result(
        self, name: ResultName, key: str, *, call: str, generation: str, lease: float
    ) -> bool:
        """Keep the lease for another ``lease`` seconds. Atomic, idempotent. False: it is not the caller's."""

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
        """Keep what was computed, for ``ttl`` seconds (0: a month after its last use), and end the lease.

        Atomic, idempotent. Of all results of the name those go that were not used for longest, until all have
        ``max_bytes`` at most; but no more than 1,000 at once, as that keeps others waiting. ``data`` must not
        be more than ``max_bytes`` by itself.
        """

    async def give_up_result(
        self, name: ResultName, key: str, *, call: str, generation: str, apart: float = 0.0
    ) -> None:
        """End the lease without a result. Atomic, idempotent.

        For ``apart`` seconds nobody gets another one: whoever asks computes it by himself.
        """

    async def forget_results(self, name: ResultName, key: str | None = None) -> int:
        """Remove one result, or all of the name; how many there were. Atomic.

        What is being computed is not kept.
        """
