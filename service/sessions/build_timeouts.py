"""How long a page waits for its app (``--build-timeout``): what goes on for longer is given up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from service.apps.app import App
from service.apps.attempts import Attempt
from service.errors import BuildTimeout
from service.metrics import Metrics
from store.contract import SessionKey

__all__ = ("BuildTimeouts",)

log = logging.getLogger(__name__)


class BuildTimeouts:
    """Makes attempts that are given up after ``seconds``; 0 for never."""

    def __init__(self, seconds: float, metrics: Metrics) -> None:
        self._seconds = seconds
        self._metrics = metrics

    def of_build(self, app: App, key: SessionKey) -> Attempt:
        """To build a session, or to bring it back."""
        return Attempt(self._seconds, partial(self._overdue, app.path, key.facts))

    def of_request(self, app: str) -> Attempt:
        """To run an app's ``process_request``."""
        return Attempt(self._seconds, partial(self._overdue, app, {"app": app}))

    def _overdue(self, app: str, facts: Mapping[str, str], attempt: Attempt) -> BuildTimeout:
        self._metrics.app(app).build_timeouts.inc()
        why = _why(attempt)
        log.error("not waiting for the app after %g s (--build-timeout): %s", self._seconds, why, extra=facts)
        return BuildTimeout(f"{app} did not start within {self._seconds:g} s", why)


def _why(attempt: Attempt) -> str:
    if attempt.doing:
        return f"it is still in {attempt.doing}"
    if attempt.queued:
        return "no thread was free to run it (--app-threads)"
    return "one of its coroutines does not return"
