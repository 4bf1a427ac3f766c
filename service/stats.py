"""What a replica says of itself in the log from time to time: sessions, connections, memory."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from service.sessions.registry import Registry

__all__ = ("log_memory", "log_stats", "repeat")

log = logging.getLogger(__name__)

_STATM = Path("/proc/self/statm")


def log_stats(registry: Registry) -> None:
    """Sessions by app and connections, for whoever reads the debug log."""
    log.debug("[pid %d] %d clients connected", os.getpid(), registry.connections())
    used = registry.counts(used=True)
    for path, count in registry.counts().items():
        log.debug(
            "[pid %d]   %s has %d sessions with %d unused", os.getpid(), path, count, count - used[path]
        )


def log_memory() -> None:
    """Resident and virtual memory; says so once a call where the system does not tell."""
    try:
        virtual, resident = (int(pages) for pages in _STATM.read_text().split()[:2])
    except OSError as error:
        log.warning("--mem-log-frequency: this system does not say how much memory is used: %s", error)
        return
    unit = os.sysconf("SC_PAGE_SIZE") / 1024**2
    log.info(
        "[pid %d] Memory usage: %.1f MB (RSS), %.1f MB (VMS)", os.getpid(), resident * unit, virtual * unit
    )


async def repeat(action: Callable[[], None], period: float) -> None:
    """``action`` every ``period`` seconds, until cancelled; never for 0."""
    while period > 0:
        await asyncio.sleep(period)
        action()
