"""The admin page's Document: what it says of a fleet, that it asks back, and that it can be restored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bokeh.events import ButtonClick
from harness.runs import Run, app_of

from service.admin.app import admin_app
from service.admin.watch import FleetWatch
from service.apps.app import App
from service.documents.restore import Fidelity
from service.fleet.view import look
from store.connect import open_store
from store.contract import Heartbeat, PageRequest, SessionKey
from store.redis_store import RedisStore

KEY = SessionKey("/a", "who has this may join")


class Watch(FleetWatch):
    """Looks when told to."""

    async def look(self) -> None:
        await self._look()


def slow(*, at: float, running: bool = False) -> dict[str, Any]:
    place = f"update (main.py, line {at:.0f})"
    return {"at": at, "app": "/a", "session": "s1", "place": place, "seconds": 1.25, "running": running}


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    await store.claim(KEY, "r1", request=PageRequest(user="<b>eve</b>", remote_ip="10.9.8.7"))
    beat = Heartbeat(
        "r1", "http://h:1", "1.2", 0.0,
        sessions={"/a": 1}, errors={"/a": 3, "/b": 0}, connections=2, lag=0.012, load=0.34,
        memory=250_000_000, slow=[slow(at=5.0), slow(at=3.0)],
    )  # fmt: skip
    await store.beat(beat, ttl=60, opened=[KEY])
    other = Heartbeat("r2", "http://h:2", "1.2", 0.0, draining=True, slow=[slow(at=4.0, running=True)])
    await store.beat(other, ttl=60)
    yield store
    await store.close()


@pytest.fixture
def watch(store: RedisStore) -> Watch:
    return Watch(store)


@pytest.fixture
def app(store: RedisStore, watch: Watch) -> App:
    app_of(lambda document: None)  # installs what sessions need
    return admin_app(store, watch, can_drain=True)


async def opened(app: App, watch: Watch) -> Run:
    await watch.look()
    return await Run.begin(app)


async def click(page: Run, name: str) -> None:
    await page.do(lambda: page.session.document.callbacks.trigger_event(ButtonClick(page[name])))


async def select(page: Run, table: str) -> None:
    await page.do(lambda: setattr(page[table].source.selected, "indices", [0]))


async def test_it_shows_replicas_and_sessions(app: App, watch: Watch) -> None:
    page = await opened(app, watch)

    replicas, sessions = page["replicas"].source.data, page["sessions"].source.data
    assert list(replicas["replica"]) == ["r1", "r2"]
    assert list(replicas["state"]) == ["serving", "draining"]
    assert list(replicas["apps"]) == ["/a 1", ""]
    assert list(replicas["lag"]) == [12, 0]
    assert list(replicas["load"]) == [34, 0]
    assert list(replicas["memory"]) == [250, 0]
    apps = page["apps"].source.data
    assert [list(apps[each]) for each in ("app", "replicas", "live", "asleep", "errors")] == [
        ["/a", "/b"], [1, 1], [1, 0], [0, 0], [3, 0],
    ]  # fmt: skip
    assert list(sessions["session"]) == [KEY.short]
    assert list(sessions["user"]) == ["<b>eve</b>"]
    assert "2 (1 draining)" in page["header"].text
    assert page["listed"].text == "1 of 1 sessions"


async def test_it_shows_whose_code_ran_for_long_newest_first(app: App, watch: Watch) -> None:
    page = await opened(app, watch)

    data = page["slow"].source.data
    assert list(data["place"]) == [f"update (main.py, line {at})" for at in (5, 4, 3)]
    assert list(data["replica"]) == ["r1", "r2", "r1"]
    assert list(data["state"]) == ["", "still runs", ""]
    assert list(data["seconds"]) == [1.2, 1.2, 1.2]


async def test_maintenance_is_begun_with_a_message_and_ended(
    app: App, watch: Watch, store: RedisStore
) -> None:
    page = await opened(app, watch)
    await page.do(lambda: setattr(page["maintenance app"], "value", "/a"))
    await click(page, "begin maintenance")
    assert not page["begin maintenance yes"].visible
    assert "Say first what visitors are told" in page["says"].text

    await page.do(lambda: setattr(page["maintenance message"], "value", "back <b>soon</b>"))
    await click(page, "begin maintenance")
    assert page["begin maintenance yes"].label == "Begin maintenance of /a?"
    await click(page, "begin maintenance yes")
    assert await eventually(page, store.maintenance.all)
    assert "maintenance of /a begins" in page["says"].text
    begun = await store.maintenance.all()
    assert {name: notice.message for name, notice in begun.items()} == {"/a": "back <b>soon</b>"}

    await watch.look()
    await page.do(lambda: setattr(page["user"], "value", "x"))
    assert "Maintenance of /a for 0s: back &lt;b&gt;soon&lt;/b&gt;" in page["header"].text

    await click(page, "end maintenance")
    await click(page, "end maintenance yes")

    async def ended() -> bool:
        return await store.maintenance.all() == {}

    assert await eventually(page, ended)
    assert "maintenance of /a ends" in page["says"].text


async def test_what_lets_one_join_a_session_stays_on_the_server(app: App, watch: Watch) -> None:
    page = await opened(app, watch)

    assert KEY.session_id not in repr(page.as_seen())


@pytest.mark.parametrize(
    ("choice", "value"), [("app", "/b"), ("replica", "r2"), ("user", "bob"), ("age", "1 day")]
)
async def test_sessions_can_be_chosen(app: App, watch: Watch, choice: str, value: str) -> None:
    page = await opened(app, watch)

    await page.do(lambda: setattr(page[choice], "value", value))

    assert list(page["sessions"].source.data["session"]) == []
    assert page["listed"].text == "0 of 1 sessions"


async def test_nothing_is_done_before_somebody_said_yes(app: App, watch: Watch, store: RedisStore) -> None:
    page = await opened(app, watch)
    await click(page, "end")
    assert not page["end yes"].visible

    await select(page, "sessions")
    await click(page, "end")
    assert page["end yes"].label == f"End {KEY.short}?"
    await click(page, "end no")
    assert not page["end yes"].visible

    beat = await store.beat(Heartbeat("r1", "http://h:1", "1.2", 0.0), ttl=60)
    assert beat.end == frozenset()


async def test_who_says_yes_has_the_owner_end_it(app: App, watch: Watch, store: RedisStore) -> None:
    record = await store.read(KEY)
    assert record is not None
    page = await opened(app, watch)
    await select(page, "sessions")
    await click(page, "end")

    await click(page, "end yes")
    await page.do(lambda: None)

    async def asked() -> bool:
        beat = await store.beat(Heartbeat("r1", "http://h:1", "1.2", 0.0), ttl=60)
        return beat.end == {(KEY.tag, record.epoch)}

    assert await eventually(page, asked)
    assert page["says"].text.endswith(f"{KEY.short} ends</div>")


async def test_a_replica_can_be_asked_to_drain(app: App, watch: Watch, store: RedisStore) -> None:
    page = await opened(app, watch)
    await select(page, "replicas")
    await click(page, "drain")
    await click(page, "drain yes")

    async def asked() -> bool:
        return (await store.beat(Heartbeat("r1", "http://h:1", "1.2", 0.0), ttl=60)).drain

    assert await eventually(page, asked)


async def eventually(page: Run, check: Any) -> bool:
    """Whether ``check`` becomes true while callbacks run."""
    for _ in range(500):
        if await check():
            await page.do(lambda: None)
            return True
    return False


async def test_its_session_moves_like_any_other(app: App, watch: Watch, store: RedisStore) -> None:
    page = await opened(app, watch)
    await page.pull()
    await page.sent(("app", "value", "/a"))
    await select(page, "sessions")
    await click(page, "end")
    page.take()

    again = await page.restored(admin_app(store, watch, can_drain=True))

    assert again.session.fidelity is Fidelity.EXACT
    assert again["app"].value == "/a"
    assert again["end yes"].label == f"End {KEY.short}?"
    assert list(again["sessions"].source.selected.indices) == [0]


async def test_a_selected_row_stays_selected_when_rows_move(
    app: App, watch: Watch, store: RedisStore
) -> None:
    page = await opened(app, watch)
    await select(page, "replicas")
    await store.beat(Heartbeat("r0", "http://a:1", "1.2", 0.0), ttl=60)
    await watch.look()

    await page.do(lambda: setattr(page["user"], "value", "x"))  # whatever makes it look

    assert list(page["replicas"].source.data["replica"]) == ["r0", "r1", "r2"]
    assert list(page["replicas"].source.selected.indices) == [1]


async def test_a_store_that_is_away_is_said(watch: Watch, store: RedisStore, app: App) -> None:
    page = await opened(app, watch)
    await store.close()
    await watch.look()

    await page.do(lambda: setattr(page["user"], "value", "x"))

    assert "This may be out of date" in page["header"].text
    with pytest.raises(Exception, match="closed"):
        await look(store)
