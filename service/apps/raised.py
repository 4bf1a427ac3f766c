"""What app code raises is an error of that code, whatever it is.

``SystemExit`` of a callback must not stop the server that others use. A ``CancelledError`` that nobody of
ours has asked for (an app awaits a task that it has cancelled) must not end the task that answers a client.
"""

from __future__ import annotations

import asyncio

__all__ = ("STRAY", "Exited", "as_exception", "is_stray")

STRAY = (SystemExit, asyncio.CancelledError, GeneratorExit)
"""What a plain function may raise on the event loop beside exceptions. A KeyboardInterrupt is not its own."""


class Exited(RuntimeError):
    """App code called ``sys.exit``."""

    def __init__(self, exit_: SystemExit) -> None:
        super().__init__(f"app code raised {exit_!r}")
        self.exit = exit_


def as_exception(error: BaseException) -> Exception:
    """What can be raised in a coroutine, and be set on a future, in place of ``error``."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    made = Exited(error) if isinstance(error, SystemExit) else RuntimeError(f"app code raised {error!r}")
    return made.with_traceback(error.__traceback__)


def is_stray(error: BaseException) -> bool:
    """Whether a coroutine of an app raised it, and nobody else is at its end."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return isinstance(error, SystemExit)
