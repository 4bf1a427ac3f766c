"""Locust users that sit in front of Bokeh apps: `locust -f loadtests/locustfile.py --host http://...`.

Each user is one tab. `SVC_LOAD_APP` names the app (default sliders), `SVC_LOAD_THINK` the mean seconds
between two moves (default 1.5), `SVC_LOAD_EVENTS` a file that gets one JSON line per event.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any, TextIO

from locust import User, task

from loadtests.tab import Broken, Tab

APP = os.environ.get("SVC_LOAD_APP", "sliders")
THINK = float(os.environ.get("SVC_LOAD_THINK", "1.5"))


def _open_events() -> TextIO | None:
    path = os.environ.get("SVC_LOAD_EVENTS")
    return open(path, "a", buffering=1) if path else None


_events = _open_events()


class Visitor(User):
    """Opens the app, thinks, moves a slider, looks at the answer; comes back when the session is lost."""

    host = "http://127.0.0.1:5006"
    tab: Tab | None = None

    def wait_time(self) -> float:
        return random.expovariate(1 / THINK)

    def on_stop(self) -> None:
        if self.tab is not None:
            self.tab.close()

    @task
    def visit(self) -> None:
        try:
            tab = self.tab or self._open()
            slider = random.choice(list(tab.sliders.values()))
            steps = round((slider.end - slider.start) / slider.step)
            tab.move(slider.name, round(slider.start + slider.step * random.randint(0, steps), 6))
        except Broken:
            # Reported already. A person would load the page again.
            if self.tab is not None:
                self.tab.close()
            self.tab = None

    def _open(self) -> Tab:
        self.tab = Tab(f"{self.host}/{APP}", self._report)
        self.tab.open()
        return self.tab

    def _report(self, kind: str, seconds: float, error: str | None) -> None:
        exception = Broken(error) if error else None
        fields: dict[str, Any] = {"response_time": seconds * 1000, "response_length": 0}
        self.environment.events.request.fire(
            request_type="bokeh", name=kind, exception=exception, context={}, **fields
        )
        if _events is not None:
            line = {"at": time.time(), "kind": kind, "seconds": seconds, "error": error}
            _events.write(json.dumps(line) + "\n")
