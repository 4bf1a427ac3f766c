"""What replicas remember of sessions, and what comes of adding that up."""

from __future__ import annotations

from service.sessions.history import SessionHistory, added_up
from store.contract import SessionKey

KEY = SessionKey("/app", "s")


def lives_at(history: SessionHistory) -> None:
    history.launched(KEY, None)
    history.started(KEY)
    history.rendered(KEY)


def test_a_session_that_goes_and_comes_back_lives_once() -> None:
    one, other = SessionHistory(-1), SessionHistory(-1)
    for here, there in ((one, other), (other, one), (one, other)):
        there.ended(KEY)
        lives_at(here)
        found = added_up([one.info, other.info])
        assert (found["total"], found["live"]) == (1, 1)
    one.ended(KEY)
    assert added_up([one.info, other.info])["live"] == 0
