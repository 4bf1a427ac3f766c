"""What is known of the work on a Document while it is done, and what of it goes to the clients."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from service.documents.copies import Copies
from service.metrics import AppMeter
from service.protocol.messages import patch_doc
from service.sessions.slot import Client

__all__ = ("Outbox", "Outgoing", "Work")

Outgoing: TypeAlias = "tuple[str, Copies, list[Client]]"
"""A change as content and buffers, and whom it is sent to."""


class Work:
    """One turn with the lock: ``func`` is called in it, by ``task`` where that may have to wait for it.

    There is one while the Document may be changed, and none while it may not.
    """

    __slots__ = ("func", "outbox", "source", "task")

    def __init__(
        self,
        func: Callable[..., Any],
        task: asyncio.Task[Any] | None = None,
        *,
        source: Client | None = None,
    ) -> None:
        self.func = func
        self.task = task
        self.source = source
        """The connection whose patch is applied, while it is."""
        self.outbox: list[Outgoing] = []
        """What it has changed so far, sent before the lock is given back."""


class Outbox:
    """Sends changes to the clients of a session, and before them those that were not to wait."""

    def __init__(self, meter: AppMeter) -> None:
        self._meter = meter
        self._early: deque[Outgoing] = deque()
        """What the event loop is to send before the lock is given back. A thread may add to it meanwhile."""

    def hurry(self, changes: Iterable[Outgoing]) -> None:
        """These go with the next :meth:`send`, before the lock is given back. On any thread."""
        self._early.extend(changes)

    def send(self, changes: Iterable[Outgoing] = ()) -> None:
        """On the event loop."""
        early = [self._early.popleft() for _ in range(len(self._early))]
        for content, buffers, receivers in [*early, *changes]:
            frames = patch_doc(content, buffers)
            for client in receivers:
                client.send(frames)
            self._meter.patches_out += len(receivers)
