"""``svc status``: what is shown of a fleet, and what is said when there is none to look at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.cli import main as cli
from service.cli.rendering import as_json, as_text
from service.fleet.view import FleetView, duration, look
from store.connect import open_store
from store.contract import Heartbeat, PageRequest, SessionKey, SessionRecord, SessionState
from store.maintenance import ALL_APPS, MaintenanceNotice

NOW = 1_700_000_000.0


def beat(replica: str, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "replica": replica,
        "address": f"http://10.0.0.1:{5000 + len(replica)}",
        "version": "1.2.3",
        "started": NOW - 3725,
        "age": 0.25,
        "lag": 0.004,
        "load": 0.25,
    }
    return Heartbeat(**{**values, **changes})


def held(replica: str, session_id: str) -> SessionRecord:
    key = SessionKey("/a", session_id)
    return SessionRecord(key, SessionState.LIVE, replica, 17, NOW - 90, PageRequest())


# -- rendering -----------------------------------------------------------------------------------


def test_a_line_per_replica_and_app_and_one_of_totals() -> None:
    view = FleetView(
        NOW,
        [
            beat(
                "r1", sessions={"/b": 1, "/a": 3}, asleep={"/a": 2}, errors={"/a": 1, "/b": 0, "/c": 0},
                connections=4, queued=3, memory=312_400_000,
            ),
            beat("r2", sessions={"/a": 2}, errors={"/a": 4}, draining=True),
        ],
    )  # fmt: skip

    lines = [" ".join(line.split()) for line in as_text(view).splitlines()]

    assert lines == [
        "REPLICA ADDRESS VERSION UP BEAT SESSIONS CONNECTIONS LOAD QUEUE LAG MEMORY STATE",
        "r1 http://10.0.0.1:5002 1.2.3 1h02m 0.2s 4 (/a 3, /b 1) 4 25% 3 4ms 312 MB serving",
        "r2 http://10.0.0.1:5002 1.2.3 1h02m 0.2s 2 (/a 2) 0 25% 0 4ms - draining",
        "",
        "APP REPLICAS LIVE ASLEEP ERRORS",
        "/a 2 3 2 5",
        "/b 1 1 0 0",
        "/c 1 0 0 0",
        "",
        "2 replicas, 6 sessions, 4 connections",
    ]


def test_sessions_go_by_their_short_form() -> None:
    record = held("r1", "secret-id")

    text = as_text(FleetView(NOW, [beat("r1", sessions={"/a": 1})], [record]))

    assert f"{record.key.short}  /a   r1     17     1m30s  -" in text.splitlines()
    assert "secret-id" not in text


def test_maintenance_is_shown_with_who_began_it_by_their_word() -> None:
    notice = MaintenanceNotice("back\nat nine", NOW - 65, operator="ada@laptop\033[2J")
    view = FleetView(NOW, [beat("r1")], maintenance={ALL_APPS: notice, "/a": MaintenanceNotice("", NOW)})

    assert as_text(view).splitlines()[-4:-1] == [
        "maintenance of all apps for 1m05s, begun by ada@laptop?[2J: back?at nine",
        "maintenance of /a for 0s, begun by (unknown): ",
        "",
    ]
    assert json.loads(as_json(view))["maintenance"][0] == {
        "app": None, "message": "back\nat nine", "since": 65.0, "retry_after": 60,
        "operator": "ada@laptop\033[2J",
    }  # fmt: skip


def test_no_replica_is_said_in_words() -> None:
    assert as_text(FleetView(NOW, [], [])) == "no replica has a heartbeat in this store"


def test_json_has_the_same_in_seconds() -> None:
    record = held("r1", "secret-id")
    now = beat("r1", sessions={"/a": 3}, asleep={"/a": 2}, errors={"/a": 5}, connections=2, memory=2**28)
    view = FleetView(NOW, [now], [record])

    found = json.loads(as_json(view))

    assert found["replicas"] == [
        {
            "replica": "r1",
            "address": "http://10.0.0.1:5002",
            "version": "1.2.3",
            "up": 3725.0,
            "beat_age": 0.25,
            "sessions": {"/a": 3},
            "connections": 2,
            "load": 0.25,
            "queued": 0,
            "lag": 0.004,
            "memory": 2**28,
            "draining": False,
        }
    ]
    assert found["apps"] == [{"app": "/a", "replicas": 1, "live": 1, "asleep": 2, "errors": 5}]
    assert found["sessions"] == [
        {"session": record.key.short, "app": "/a", "owner": "r1", "epoch": 17, "age": 90.0, "building": None}
    ]


def test_json_without_sessions_does_not_claim_there_are_none() -> None:
    assert "sessions" not in json.loads(as_json(FleetView(NOW, [])))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (12.4, "12s"), (185, "3m05s"), (7800, "2h10m"), (367200, "4d06h")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- fetching ------------------------------------------------------------------------------------


async def test_a_look_finds_replicas_and_what_they_hold() -> None:
    store = open_store(None)
    key = SessionKey("/a", "s1")
    await store.claim(key, "r1", request=PageRequest())
    await store.beat(beat("r1", sessions={"/a": 1}), ttl=5, opened=[key])

    found = await look(store, sessions=True)
    await store.close()

    assert [each.replica for each in found.replicas] == ["r1"]
    assert found.held is not None
    assert [(record.key, record.owner) for record in found.held] == [(key, "r1")]


# -- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Give its --redis URL"),
        (["--redis", "http://nowhere"], 2, "--redis: the store URL is not usable"),
        (["--redis", "redis://x", "--redis-prefix", "{}"], 2, "--redis-prefix"),
        (["--redis", "redis://127.0.0.1:1"], 1, "redis://127.0.0.1:1 is not available"),
    ],
)
def test_without_a_store_there_is_one_clear_line(
    arguments: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SVC_REDIS_URL", raising=False)

    assert cli.main(["status", *arguments]) == code

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
