"""What `asgi.app` takes, and its life in a host that runs it, or does not."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import StreamClosedError

from service import asgi
from service.asgi.handshake import EventHandshake
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
        ({"basic_auth": "a password"}, "the host logs users in"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_reason(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asgi.app(fill, **options)


def test_what_only_panel_could_show_is_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "panel.io.application", None)
    with pytest.raises(ConfigError, match="what is served at /panel needs Panel"):
        asgi.app({"/plain": fill, "/panel": lambda: "to be shown"})


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


async def test_index_names_an_app_that_is_also_at_the_root(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(f"from bokeh.io import curdoc; curdoc().title = '{name}'")
    paths = {f"/{name}": str(tmp_path / f"{name}.py") for name in ("one", "other")}
    app = asgi.app(paths, index="other")
    async with app.lifespan():
        status, page = await get(app, "/")
    assert status == 200
    assert b"curdoc" not in page
    assert b"<title>other" in page


async def test_a_drain_ends_the_process_also_without_a_lifespan(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(signal, "raise_signal", raised.set_result)
    app = asgi.app(fill)
    await get(app, "/")  # begins it
    await app._starting
    app.server.asked_to_stop.set()
    assert await asyncio.wait_for(raised, 30) == signal.SIGTERM
    await app.stop()


async def test_a_client_that_leaves_as_it_is_accepted_is_forgotten() -> None:
    async def send(event: Any) -> None:
        raise OSError("the client has left")

    handshake = EventHandshake({"type": "websocket", "path": "/ws"}, Mock(), send)
    handshake.write_headers(ResponseStartLine("HTTP/1.1", 101, ""), HTTPHeaders())
    with pytest.raises(StreamClosedError):
        await handshake.take_over(Mock(), "/ws")
    await asyncio.wait_for(handshake.run(), 30)
