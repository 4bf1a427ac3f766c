"""The load generator's tab against a real replica: what it does, and that it would notice a loss."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.replica import Replica

from loadtests.tab import Broken, Tab


class Events:
    """What a tab reported, and a way to wait for it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self._news = threading.Condition()

    def __call__(self, kind: str, seconds: float, error: str | None) -> None:
        with self._news:
            self.seen.append((kind, error))
            self._news.notify_all()

    def wait_for(self, kind: str, timeout: float = 30) -> str | None:
        """The error of the first event of that kind, past or to come."""
        with self._news:
            found = self._news.wait_for(lambda: [e for e in self.seen if e[0] == kind], timeout)
        assert found, f"no {kind} among {self.seen}"
        return found[0][1]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def server(replica: Callable[..., Replica], examples: Path) -> Replica:
    return replica([examples / "sliders.py"])


@pytest.fixture
def tab(server: Replica, events: Events) -> Iterator[Tab]:
    tab = Tab(server.app_url(), events)
    tab.open()
    yield tab
    tab.close()


def test_a_visit(tab: Tab, events: Events) -> None:
    tab.move("offset", 2.5)

    assert events.seen == [("page", None), ("socket", None), ("pull", None), ("patch", None)]
    assert tab.expected["offset"] == {2.5}
    assert set(tab.sliders) == {"offset", "amplitude", "phase", "freq"}
    assert tab.pushes >= 1, "the curve did not come"


def test_a_lost_connection_comes_back_and_the_state_is_checked(tab: Tab, events: Events) -> None:
    tab.move("offset", 2.5)

    tab.drop()

    assert events.wait_for("reconnect") is None
    assert events.wait_for("state") is None
    tab.move("offset", 1.5)
    assert events.seen[-1] == ("patch", None)


def test_lost_state_is_noticed(tab: Tab, events: Events) -> None:
    tab.move("offset", 2.5)
    tab.expected["offset"] = {4.0}

    tab.drop()

    assert events.wait_for("state") == "offset is [2.5], not [4.0]"


def test_a_change_that_may_or_may_not_have_arrived_is_no_loss(tab: Tab, events: Events) -> None:
    tab.expected["offset"] = {0.0, 4.0}

    tab.drop()

    assert events.wait_for("state") is None


def test_a_page_that_fails_is_reported(server: Replica, events: Events) -> None:
    with pytest.raises(Broken, match="404"):
        Tab(f"{server.url}/nothing", events).open()

    assert events.seen == [("page", "the page answered 404")]
