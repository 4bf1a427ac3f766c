"""Work that runs beside everything else, and whose failures are logged rather than lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ("spawn",)

log = logging.getLogger(__name__)

_tasks: set[asyncio.Task[Any]] = set()
"""asyncio keeps only weak references to tasks."""


def spawn(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run ``work`` on the current event loop, and log what it raises."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("background work failed", exc_info=task.exception())
