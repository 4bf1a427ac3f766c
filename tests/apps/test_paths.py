"""App paths that are patterns, as Bokeh and Panel have them, and the paths and tokens in URLs."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from bokeh.embed import server_document
from bokeh.models import Div, Slider
from bokeh.util.token import generate_jwt_token, generate_session_id
from devfleet.ports import free_port, wait_open
from devfleet.processes import Process
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.wire import WireClosed
from tornado.web import RequestHandler

from service import Server
from service.errors import ConfigError

GREETS = """
    from bokeh.io import curdoc
    from bokeh.models import Div, Slider

    def fill(doc):
        request = doc.session_context.request
        where, slider = Div(name="where"), Slider(start=0, end=9, value=1, name="slider")
        where.text = f"{request.path} {request.route_params}"
        slider.on_change("value", lambda attr, old, new: where.update(text=f"{request.path} {new}"))
        doc.add_root(where)
        doc.add_root(slider)
"""


def fill(doc: Any) -> None:
    request = doc.session_context.request
    doc.add_root(Div(name="where", text=f"{request.path} {request.route_params}"))
    doc.add_root(Div(name="payload", text=repr(doc.session_context.token_payload)))
    doc.add_root(Div(name="arguments", text=repr(request.arguments)))
    doc.add_root(Slider(start=0, end=9, value=1, name="slider"))


def named(name: str) -> Callable[[Any], None]:
    return lambda doc: doc.add_root(Div(text=name, name="name"))


@asynccontextmanager
async def serving(apps: Any, **options: Any) -> AsyncIterator[str]:
    server = Server(apps, port=0, address="127.0.0.1", **options)
    try:
        await server.started()
        yield server.url.rstrip("/")
    finally:
        await server.stop_async()


# -- patterns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/p"])
@pytest.mark.parametrize(
    ("path", "asked", "params"),
    [
        ("/user/([^/]+)", "/user/ada", {"0": "ada"}),
        ("/user/([^/]+)", "/user/a%20d%C3%A4", {"0": "a dä"}),
        ("/user/(?P<name>[^/]+)/?(?P<of>x)?", "/user/ada", {"name": "ada"}),
        ("/user/{name}/{year:int}", "/user/ada/1815", {"name": "ada", "year": "1815"}),
        ("/(.*)", "/what/ever", {"0": "what/ever"}),
        ("/größe ([0-9]+)", "/gr%C3%B6%C3%9Fe%207", {"0": "7"}),
    ],
)
async def test_an_app_at_all_paths_that_fit(path: str, asked: str, params: Any, prefix: str) -> None:
    async with serving({path: fill}, prefix=prefix) as url:
        for slash in ("", "/") if not path.endswith(".*)") else ("",):
            page = await get_page(url + asked + slash)
            async with Client(url + asked, page.token) as client:
                await client.pull()
                assert client.value("where", "text") == f"{prefix}{asked}{slash} {params}"
        assert (await get_page(f"{url}{asked}/metadata")).json()["url"] == path


async def test_what_fits_no_pattern_is_not_there() -> None:
    async with serving({"/user/{n:int}": fill, "/a.b": fill}) as url:
        assert (await get_page(f"{url}/user/1")).status == 200
        assert (await get_page(f"{url}/a.b")).status == 200
        for path in ("/user/x", "/user/1/2", "/user/", "/axb", "/user/%7Bn:int%7D"):
            assert (await get_page(url + path)).status == 404, path


async def test_the_first_app_whose_path_fits_answers() -> None:
    apps = {"/first/x": "first", "/([^/]+)/x": "pattern", "/last/x": "last", "/": "root"}
    async with serving({path: named(name) for path, name in apps.items()}) as url:
        for path, expected in {"/first/x": "first", "/last/x": "pattern", "/": "root"}.items():
            async with await Client.open(url + path) as client:
                assert client.value("name", "text") == expected


async def test_no_pattern_takes_what_the_server_needs_itself() -> None:
    routes = [(r"/mine", RequestHandler)]
    async with serving({"/(.*)": fill}, admin=True, admin_user=("*",), extra_patterns=routes) as url:
        for path in ("/healthz", "/metrics", "/static/js/bokeh.min.js", "/favicon.ico"):
            assert "<html" not in (await get_page(url + path)).text, path
        assert "svc" in (await get_page(f"{url}/admin")).text
        # As in Bokeh, an app comes before patterns of others.
        async with await Client.open(f"{url}/mine") as client:
            assert client.value("where", "text") == "/mine {'0': 'mine'}"


async def test_the_index_has_no_links_to_patterns(tmp_path: Path) -> None:
    apps = {"/user/([^/]+)": fill, "/plain": fill, "/ü 100%": fill}
    async with serving({**apps, "/again": fill}) as url:
        index = (await get_page(url)).text
        assert "user/([^/]+)" in index
        assert 'href="./user' not in index
        assert f'href="./{quote("ü 100%")}"' in index
    template = tmp_path / "index.html"
    template.write_text("{% for item in items %}[{{ prefix }}{{ item }}]{% end %}")
    async with serving({"/user/([^/]+)": fill, "/plain": fill}, index=str(template)) as url:
        assert (await get_page(url)).text == "[./plain]"
    async with serving({"/user/([^/]+)": fill}) as url:
        assert (await get_page(url)).status == 200  # and leads nowhere


async def test_metrics_know_the_pattern_only() -> None:
    async with serving({"/user/([^/]+)": fill}) as url:
        for name in ("ada", "eve", "bob"):
            async with await Client.open(f"{url}/user/{name}"):
                pass
        metrics = (await get_page(f"{url}/metrics")).text
    assert 'app="/user/([^/]+)"' in metrics
    assert "ada" not in metrics


async def test_a_page_elsewhere_embeds_one_of_them() -> None:
    async with serving({"/user/([^/]+)": fill}) as url:
        script = await get_page(f"{url}/user/ada/autoload.js", arguments=asked_of(f"{url}/user/ada"))
        assert f"{url}/static/js/bokeh.min.js" in script.text
        assert "/user/ada" in server_document(f"{url}/user/ada")
        async with Client(f"{url}/user/ada", script.token) as client:
            await client.pull()
            assert client.value("where", "text") == "/user/ada/autoload.js {'0': 'ada'}"


@pytest.mark.parametrize("path", ["/user/([^/]+", "/user/{name:word}"])
def test_what_is_no_pattern_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="app path"):
        Server({path: fill}, port=0)


@pytest.fixture
def programs(tmp_path: Path, redis_server: RedisServer) -> Iterator[list[tuple[Process, str]]]:
    """Two replicas of a program with an app at `/user/([^/]+)`, and their URLs."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(GREETS)
        + "import sys\nfrom service import Server\n"
        + "Server({'/user/([^/]+)': fill}, port=int(sys.argv[1]), redis=sys.argv[2]).run_until_shutdown()\n"
    )
    running: list[tuple[Process, str]] = []
    for number in range(2):
        port = free_port()
        argv = [sys.executable, str(script), str(port), redis_server.url]
        running.append((Process(f"program {number}", argv).start(), f"http://localhost:{port}"))
        wait_open(port, 30)
    yield running
    for process, _ in running:
        process.stop()


async def test_sessions_of_a_pattern_are_relayed_and_move(
    programs: list[tuple[Process, str]], redis_server: RedisServer
) -> None:
    (first, one), (_, other) = programs
    async with await Client.open(f"{one}/user/ada") as client:
        assert client.page is not None
        async with Client(f"{other}/user/ada", client.token) as relayed:
            await relayed.pull()
            await relayed.patch("slider", value=7)
            await client.expect_value("where", "text", "/user/ada 7")
            page = await get_page(f"{other}/user/ada/", session_id=client.page.session_id)
            assert "../../static/js/bokeh.min.js" in page.text
        sessions = Process("svc", [sys.executable, "-m", "service", "sessions", "--redis", redis_server.url])
        sessions.start().wait(30)
        assert any("/user/([^/]+)" in line for line in sessions.lines)

        first.stop()
        client.url = f"{other}/user/ada"
        await client.reconnect(timeout=30)
        assert client.value("where", "text") == "/user/ada 7"
        await client.patch("slider", value=8)
        await client.expect_value("where", "text", "/user/ada 8")


# -- names of files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my app", "größe", "100%", "a+b(c)", "what?#"])
async def test_an_app_may_be_called_as_a_file_may_be(
    name: str, tmp_path: Path, replica: Callable[..., Replica]
) -> None:
    directory = tmp_path / name
    (directory / "static").mkdir(parents=True)
    (directory / "static" / f"{name}.txt").write_text("its own")
    (directory / "main.py").write_text(textwrap.dedent(GREETS) + "\nfill(curdoc())\n")
    server = replica([directory])
    path = quote(name, safe="")

    assert (await get_page(server.url, follow=False)).headers["Location"] == f"./{path}"
    for written in {path, path.lower()}:
        async with await Client.open(f"{server.url}/{written}") as client:
            assert client.value("where", "text").startswith(f"/{written} ")
    assert (await get_page(f"{server.url}/{path}/static/{path}.txt")).text == "its own"
    assert server.matching(f"running at: .*/{re.escape(path)}( |$)")


# -- tokens in URLs --------------------------------------------------------------------------------


def asked_of(url: str, **more: str) -> dict[str, str]:
    return {"bokeh-autoload-element": "e", "bokeh-app-path": "/", "bokeh-absolute-url": url, **more}


@pytest.mark.parametrize("below", ["", "/autoload.js"])
async def test_a_token_of_bokehs_gives_session_and_request(below: str) -> None:
    key = b"a key of both"
    session_id = generate_session_id(key, signed=True)
    payload = {"headers": {"X": "y"}, "cookies": {"c": "d"}, "arguments": {"who": [b"ada"]}, "role": "admin"}
    token = generate_jwt_token(session_id, key, signed=True, extra_payload=payload)
    async with serving({"/app": fill}, sign_sessions=True, secret_key=key) as url:
        page = await get_page(f"{url}/app{below}", arguments=asked_of(url, **{"bokeh-token": token}))
        assert page.session_id == session_id
        async with Client(f"{url}/app", page.token) as client:
            await client.pull()
            assert "'role': 'admin'" in client.value("payload", "text")
            assert client.value("arguments", "text") == "{'who': [b'ada']}"


async def test_a_token_of_ours_leads_to_its_session() -> None:
    async with serving({"/app": fill, "/other": fill}) as url:
        async with await Client.open(f"{url}/app", arguments={"who": "ada"}) as client:
            again = await get_page(f"{url}/app", arguments={"bokeh-token": client.token})
            assert client.page is not None
            assert again.session_id == client.page.session_id
        first = await get_page(f"{url}/app", arguments={"who": "ada"})
        page = await get_page(f"{url}/app", arguments={"bokeh-token": first.token})
        async with Client(f"{url}/app", page.token) as client:
            await client.pull()
            assert client.value("arguments", "text") == "{'who': [b'ada']}"
        refused = await get_page(f"{url}/other", arguments={"bokeh-token": first.token})
        assert (refused.status, "made for something else" in refused.text) == (403, True)


@pytest.mark.parametrize("path", ["/app", "/app/autoload.js"])
async def test_what_is_no_right_token_or_id_is_refused_and_says_why(path: str) -> None:
    key = b"a key of both"
    right = generate_session_id(key, signed=True)
    forged = generate_session_id(b"another key", signed=True)
    tokens = {
        "signature": generate_jwt_token(right, b"another key", signed=True),
        "not signed": generate_jwt_token(right),
        "expired": generate_jwt_token(right, key, signed=True, expiration=-5),
    }
    async with serving({"/app": fill}, sign_sessions=True, secret_key=key) as url:
        for reason, token in tokens.items():
            page = await get_page(url + path, arguments=asked_of(url, **{"bokeh-token": token}))
            assert page.status == 403, reason
            assert "Invalid token or session ID" in page.text
            assert reason in page.text
        page = await get_page(url + path, arguments=asked_of(url), session_id=forged)
        assert (page.status, "signature is missing or wrong" in page.text) == (403, True)
        both = asked_of(url, **{"bokeh-token": generate_jwt_token(right, key, signed=True)})
        page = await get_page(url + path, arguments=both, session_id=right)
        assert (page.status, "both a token and a session id" in page.text) == (403, True)
        with pytest.raises(WireClosed) as refused:
            await Client(f"{url}/app", tokens["signature"]).connect()
        assert refused.value.http_status == 403


async def test_ids_come_from_outside_only_if_none_are_generated() -> None:
    async with serving({"/app": fill}, generate_session_ids=False) as url:
        for path in ("/app", "/app/autoload.js"):
            without = await get_page(url + path, arguments=asked_of(url))
            assert (without.status, "no bokeh-session-id" in without.text) == (403, True)
            assert (await get_page(url + path, arguments=asked_of(url), session_id="mine")).status == 200


async def test_a_page_elsewhere_is_told_how_to_be_admitted() -> None:
    async with serving({"/app": fill}) as url:
        page = await get_page(f"{url}/app/ws", headers={"Origin": "http://site.example"})
        assert (page.status, "--allow-websocket-origin=site.example" in page.text) == (403, True)
