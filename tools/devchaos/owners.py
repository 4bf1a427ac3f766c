"""Who owned which session when, as Redis itself saw it: every write of every script, by MONITOR.

MONITOR shows what scripts really changed, after their checks. So a session that two replicas own at one
epoch, or a write by one that lost it, cannot hide.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ("Owners",)

_KEY = re.compile(rb'"HSET" "[^"{]*\{([^}"]+)\}:(session|journal)"')
_OWNER = re.compile(rb'"owner" "(\w+)" "epoch" "(\d+)"')
_WRITE = re.compile(rb'"write" "(\d+)/(\d+)"')
_SESSION_ID = re.compile(rb'"session_id" "([^"]+)"')


@dataclass
class History:
    """What happened to one session's record."""

    session_id: str = ""
    owners: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Epoch to who owned the session then."""
    epoch: int = 0
    writes: int = 0
    problems: list[str] = field(default_factory=list)


class Owners:
    """`async with Owners(port) as owners:` listens; after a restart of Redis it listens again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self.histories: dict[str, History] = defaultdict(History)

    # -- findings ------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """Epochs with two owners, epochs that went back, journal writes at an epoch that was over."""
        found = [f"{tag}: {text}" for tag, each in self.histories.items() for text in each.problems]
        for tag, each in self.histories.items():
            for epoch, owners in each.owners.items():
                if len(owners) > 1:
                    found.append(f"{tag}: {sorted(owners)} both owned it at epoch {epoch}")
        return found

    def epochs(self) -> dict[str, int]:
        """Session id to how many epochs it had."""
        return {each.session_id: len(each.owners) for each in self.histories.values() if each.session_id}

    def owner(self, session_id: str) -> str:
        """Which replica owns the session now."""
        history = next(each for each in self.histories.values() if each.session_id == session_id)
        return next(iter(history.owners[history.epoch]))

    @property
    def writes(self) -> int:
        """Journal writes so far."""
        return sum(each.writes for each in self.histories.values())

    # -- listening -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.wait_for(self._listening.wait(), 10)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(OSError):
                await self._listen()
            await asyncio.sleep(0.02)

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=256 * 1024 * 1024)
        try:
            writer.write(b"MONITOR\r\n")
            if (await reader.readline()).startswith(b"+OK"):
                self._listening.set()
            while line := await reader.readline():
                if b' lua] "HSET"' in line:
                    self._note(line)
        finally:
            writer.close()

    def _note(self, line: bytes) -> None:
        found = _KEY.search(line)
        if found is None:
            return
        history = self.histories[found[1].decode()]
        if found[2] == b"journal":
            if write := _WRITE.search(line):
                self._note_write(history, int(write[1]))
            return
        if named := _SESSION_ID.search(line):
            history.session_id = named[1].decode()
        if taken := _OWNER.search(line):
            self._note_owner(history, taken[1].decode(), int(taken[2]))

    def _note_owner(self, history: History, owner: str, epoch: int) -> None:
        if epoch < history.epoch:
            history.problems.append(f"{owner} took it at epoch {epoch}, after epoch {history.epoch}")
        history.epoch = max(epoch, history.epoch)
        history.owners[epoch].add(owner)

    def _note_write(self, history: History, epoch: int) -> None:
        history.writes += 1
        if epoch < history.epoch:
            history.problems.append(f"a write at epoch {epoch}, after epoch {history.epoch}")
