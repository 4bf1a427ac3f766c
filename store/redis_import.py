"""redis-py without OpenTelemetry's SDK, which it (7.2 to 8.1) imports for one annotation if it is installed.

That takes 25 ms of CPU. What redis-py measures for apps that ask for it works as ever: it imports what it
needs when it is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("without_metrics_sdk",)

_SDK = "opentelemetry.sdk.metrics"


@contextmanager
def without_metrics_sdk() -> Iterator[None]:
    """Inside, as redis-py is imported, the SDK seems not to be installed. For the start of a process only."""
    if _SDK in sys.modules:
        yield
        return
    sys.modules[_SDK] = None  # type: ignore[assignment]  # Python's way to say that there is none
    try:
        yield
    finally:
        del sys.modules[_SDK]
