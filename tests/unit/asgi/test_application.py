"""What `asgi.app` takes, and its life in a host that runs it, or does not."""

from __future__ import annotations

from typing import Any

import pytest

from service import asgi
from service.errors import ConfigError


def fill(doc: Any) -> None:
    doc.title = "filled"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 5006}, "relay_port"),
        ({"num_procs": 2}, "--workers"),
        ({"dev": ()}, "--reload"),
        ({"wrong": 1}, "there is no option wrong"),
        ({"login_url": "/login"}, "give that, too"),
        ({"user": len, "auth_policy": object()}, "user or auth_policy"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_reason(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asgi.app(fill, **options)


async def get(app: Any, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *((k.encode(), v.encode()) for k, v in headers.items())],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(event: Any) -> None:
        sent.append(event)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(event["body"] for event in sent[1:])


async def test_one_life_after_another() -> None:
    app = asgi.app(fill)
    for _ in range(2):
        async with app.lifespan():
            status, page = await get(app, "/")
            assert status == 200
            assert b"static/js/bokeh.min.js" in page
        assert (await get(app, "/"))[0] == 503


async def test_lifespan_events() -> None:
    app, sent = asgi.app(fill), []
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(events)

    async def send(event: Any) -> None:
        sent.append(event["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_bodies_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.asgi.application.MAX_BODY_BYTES", 3)
    app = asgi.app(fill)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"four", "more_body": True}

    async def send(event: Any) -> None:
        sent.append(event)

    async with app.lifespan():
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
        await app(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_a_host_without_a_name_is_a_bad_request() -> None:
    app = asgi.app(fill)
    async with app.lifespan():
        status, body = await get(app, "/", host="a b")
    assert status == 400
    assert b"host" in body.lower()
