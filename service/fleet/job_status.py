"""What sessions see of a job: a value in a shared dict that changes together with the job."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from store.errors import RecordError
from store.jobs import JobState
from store.records import pack_value, unpack_entry

__all__ = ("LOST", "MAX_TEXT_LENGTH", "JobStatus", "pack_value", "read_status", "unpack_value")

log = logging.getLogger(__name__)

LOST = "lost"
"""The state of a job that nobody knows (any more)."""

MAX_TEXT_LENGTH = 500
"""Characters of a text or an error."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    state: str = LOST
    fraction: float = 0.0
    text: str = ""
    attempt: int = 0
    error: str = ""

    @property
    def over(self) -> bool:
        return self.state == LOST or JobState(self.state).over

    def packed(self) -> bytes:
        return pack_value(asdict(self))


def unpack_value(packed: bytes) -> Any:
    """Raises RecordError."""
    return unpack_entry(packed)


_TYPES: dict[str, tuple[type, ...]] = {
    "fraction": (int, float), "text": (str,), "attempt": (int,), "error": (str,),
}  # fmt: skip


def read_status(packed: bytes | None) -> JobStatus:
    """LOST for None, and for what no release of ours has written."""
    if packed is None:
        return JobStatus()
    try:
        values = unpack_entry(packed)
        known = {name: values[name] for name, types in _TYPES.items() if isinstance(values[name], types)}
        return JobStatus(JobState(values["state"]), **known)
    except (RecordError, TypeError, KeyError, ValueError) as error:
        log.error("the status of a job cannot be read: %s", error)
        return JobStatus()
