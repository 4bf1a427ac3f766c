"""Whatever clients send: one line in the log without a traceback, never a 500, and nobody else is harmed."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

import pytest
from devfleet.replica import Replica
from harness.client import Client, ServerError

FRONTS = ("tornado", "uvicorn")

NAUGHTY = [
    "http://[bad",
    "//",
    "http://h:99999999/",
    "\0",
    "%",
    "javascript:1",
    "x" * 5000,
    "\udcff",
    "[",
    "ü",
]


def ask(server: Replica, path: str, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection(server.host, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def expect_quiet(server: Replica, after: int) -> None:
    logged = server.lines[after:]
    assert not [line for line in logged if "Traceback" in line or " ERROR " in line], logged


@pytest.mark.parametrize(
    "path",
    [
        "/static/js/%00.js",
        "/static/%00",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/static/extensions/%00/x.js",
        "/static/extensions/a%00b/%00",
        "/static/extensions/../x",
        "/static/extensions/a.b.c/x.js",
        "/static/extensions/%2e%2e/x.js",
        "/static/" + "x" * 5000,
        "/static/" + "x/" * 2000,
        "/static/%ff%fe",
        "/sliders/%00",
        "/%00",
        "/sliders?%00=%00",
        "/sliders?bokeh-session-id=%00",
        "/sliders?bokeh-session-id=",
        "/sliders/autoload.js",
        "/sliders/autoload.js?bokeh-autoload-element=%00",
    ],
)
def test_paths(server: Replica, path: str) -> None:
    seen = len(server.lines)
    assert ask(server, path) < 500
    expect_quiet(server, seen)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"])
@pytest.mark.parametrize(
    "path",
    [
        "/sliders",
        "/sliders/ws",
        "/sliders/autoload.js?bokeh-autoload-element=e",
        "/sliders/metadata",
        "/",
        "/favicon.ico",
        "/static/js/bokeh.min.js",
        "/static/extensions/panel/panel.min.js",
        "/sliders/static/x",
        "/healthz",
        "/metrics",
        "/_svc/relay",
        "/_svc/file/x",
    ],
)
def test_methods(server: Replica, path: str, method: str) -> None:
    seen = len(server.lines)
    assert ask(server, path, method) < 500
    expect_quiet(server, seen)


def test_the_icon_has_a_head(server: Replica) -> None:
    assert ask(server, "/favicon.ico", "HEAD") == 200


@pytest.mark.parametrize(
    "argument", ["bokeh-absolute-url", "bokeh-app-path", "resources", "bokeh-session-id"]
)
@pytest.mark.parametrize("value", NAUGHTY, ids=range(len(NAUGHTY)))
def test_arguments_of_autoload(server: Replica, argument: str, value: str) -> None:
    seen = len(server.lines)
    written = quote(value, errors="surrogateescape")
    assert ask(server, f"/sliders/autoload.js?bokeh-autoload-element=e&{argument}={written}") < 500
    expect_quiet(server, seen)


@pytest.mark.parametrize(
    "path", ["/sliders", "/sliders/ws", "/sliders/metadata", "/", "/static/js/bokeh.min.js"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://[bad"},
        {"Origin": "null"},
        {"Host": "[bad"},
        {"Cookie": '=;;;a=\x80; $Version=1; b="\\777"'},
        {"Referer": "http://[bad"},
        {"Range": "bytes=9-1,a"},
        {"If_Modified_Since": "never"},
        {"If_None_Match": "\x80"},
        {"Accept_Encoding": "\x80;q=x"},
        {"Authorization": "Bearer \x80"},
        {"Bokeh_Session_Id": "\x80"},
        {"X_Forwarded_For": "\x80, , 1"},
        {"traceparent": "00-zz-\x80-01"},
        {"Sec_WebSocket_Protocol": "bokeh, \x80", "Upgrade": "websocket", "Connection": "Upgrade"},
    ],
    ids=str,
)
def test_headers(server: Replica, path: str, headers: dict[str, str]) -> None:
    seen = len(server.lines)
    assert ask(server, path, **headers) < 500
    expect_quiet(server, seen)


def header(kind: str) -> str:
    return json.dumps({"msgid": "1", "msgtype": kind})


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"events": None},
        {"events": {}},
        {"events": "x"},
    ],
    ids=str,
)
async def test_a_patch_without_events_closes_its_socket(server: Replica, content: Any) -> None:
    seen = len(server.lines)
    async with await Client.open(server.app_url("sliders")) as client:
        await client.wire.send_frames([header("PATCH-DOC"), "{}", json.dumps(content)])
        assert await client.wait_closed() == 1002
    expect_quiet(server, seen)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"kind": None},
        {"kind": "NoSuchKind"},
        {"kind": "ModelChanged"},
        {"kind": "ModelChanged", "model": {"id": "nobody"}, "attr": "value", "new": 1},
        {"kind": "ModelChanged", "model": None, "attr": "value", "new": 1},
        {"kind": "ModelChanged", "model": "slider", "attr": "nothing", "new": 1},
        {
            "kind": "ModelChanged",
            "model": "slider",
            "attr": "value",
            "new": {"type": "object", "name": "os.system"},
        },
        {"kind": "ModelChanged", "model": "slider", "attr": "value", "new": {"type": "bytes", "data": "%"}},
        {"kind": "ModelChanged", "model": "slider", "attr": "value", "new": "text\nof two lines"},
        {"kind": "ModelChanged", "model": "slider", "attr": 1, "new": 1},
        {"kind": "ColumnsStreamed", "model": {"id": "nobody"}, "attr": "data", "data": {}, "rollover": None},
        {"kind": "ColumnsStreamed", "model": "slider", "attr": "data", "data": {}, "rollover": None},
        {"kind": "ColumnsPatched", "model": "slider", "attr": "data", "patches": {"x": 1}},
        {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {"type": "event", "name": "no_such"}},
        {"kind": "MessageSent", "msg_type": "x"},
        {"kind": "RootAdded", "model": {"type": "object", "name": "NoSuchModel", "id": "p1"}},
        {"kind": "RootRemoved", "model": {"id": "nobody"}},
        {"kind": "TitleChanged", "title": 1},
        [],
        None,
    ],
    ids=str,
)
async def test_an_event_that_makes_no_sense_is_an_error_in_one_line(server: Replica, event: Any) -> None:
    seen = len(server.lines)
    async with await Client.open(server.app_url("sliders")) as client:
        if isinstance(event, dict) and event.get("model") == "slider":
            event = {**event, "model": {"id": client.model("freq").id}}
        try:
            await client.patch_json(event)
        except ServerError:
            server.wait_line("of a client cannot be applied", after=seen)
        assert client.connected
    expect_quiet(server, seen)


@pytest.mark.parametrize(
    "doc",
    [
        {},
        {"title": "x"},
        {"title": "x", "roots": [], "version": "1"},
        {"roots": [{"id": "nobody"}], "title": "", "version": "3"},
        {"roots": "x", "title": 1, "version": None, "config": 7},
    ],
    ids=str,
)
async def test_a_pushed_document_that_makes_no_sense(server: Replica, doc: Any) -> None:
    seen = len(server.lines)
    async with await Client.open(server.app_url("sliders")) as client:
        await client.wire.send_frames([header("PUSH-DOC"), "{}", json.dumps({"doc": doc})])
        await client.expect(lambda c: any(each.kind in ("ERROR", "OK") for each in c.received))
    expect_quiet(server, seen)
