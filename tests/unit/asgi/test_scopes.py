"""Where a request goes, whatever mounts the application; and what handlers see of its scope."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.httputil import HTTPConnection, HTTPInputError

from service.asgi.requests import peer_of, request_of, routed


def scope(path: str, root: str = "", **others: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"example.com")],
        **others,
    }


@pytest.mark.parametrize(
    ("path", "root", "prefix", "expected"),
    [
        ("/sliders", "", "", "/sliders"),
        ("/bokeh/sliders", "/bokeh", "", "/sliders"),  # Starlette, uvicorn --root-path
        ("/sliders", "/bokeh", "", "/sliders"),  # those of old, which took it away
        ("/bokehs", "/bokeh", "", "/bokehs"),
        ("/bokeh", "/bokeh", "", ""),
        ("/bokeh/", "/bokeh/", "", "/"),
        ("/apps/sliders", "", "/apps", "/apps/sliders"),
        ("/apps/sliders", "/apps", "/apps", "/apps/sliders"),  # beside replicas with --prefix /apps
        ("/site/apps/sliders", "/site/apps", "/apps", "/apps/sliders"),
        ("/site/apps/sliders", "/site", "/apps", "/apps/sliders"),
        ("/apps/healthz", "/apps", "/apps", "/healthz"),
        ("/healthz", "", "/apps", "/healthz"),
        ("/bokeh/größe", "/bokeh", "", "/gr%C3%B6%C3%9Fe"),
        ("/b b/a b", "/b b", "", "/a%20b"),
    ],
)
def test_routes(path: str, root: str, prefix: str, expected: str) -> None:
    assert routed(scope(path, root), prefix) == expected


def test_the_path_stays_as_the_client_escaped_it() -> None:
    assert routed(scope("/bokeh/a/b", "/bokeh", raw_path=b"/bokeh/a%2Fb"), "") == "/a%2Fb"
    assert routed(scope("/a b", "/bokeh", raw_path=b"/bokeh/a%20b"), "") == "/a%20b"


def test_what_handlers_see() -> None:
    made = request_of(
        scope(
            "/bokeh/sliders",
            "/bokeh",
            query_string=b"a=1&a=2",
            headers=[(b"host", b"example.com"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"upgrade", b"x")],
            subprotocols=["bokeh", "token"],
            user="anna",
        ),
        b"",
        HTTPConnection(),
        "",
    )
    assert (made.path, made.uri) == ("/sliders", "/bokeh/sliders?a=1&a=2")
    assert made.arguments == {"a": [b"1", b"2"]}
    assert {name: morsel.value for name, morsel in made.cookies.items()} == {"a": "1", "b": "2"}
    assert made.headers["Sec-WebSocket-Protocol"] == "bokeh, token"
    assert "Upgrade" not in made.headers
    assert made.host_facts == {"root_path": "/bokeh", "user": "anna", "state": {}}


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(HTTPInputError):
        request_of(scope("/", headers=[(b"host", b"a b")]), b"", HTTPConnection(), "")


def test_the_other_end() -> None:
    peer = peer_of(scope("/", scheme="wss", client=("10.0.0.1", 4711)))
    assert (peer.protocol, peer.remote_ip) == ("https", "10.0.0.1")
    assert peer_of(scope("/", client=None)).remote_ip == ""
