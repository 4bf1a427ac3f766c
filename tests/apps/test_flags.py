"""Each flag of `svc serve` seen from outside: every test here fails when its flag is ignored.

How flags, variables and files become settings is in tests/unit/test_settings.py; authentication,
TLS and --num-procs have files of their own. Most flags do not touch each other, so two servers
with many flags each serve nearly all tests.
"""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.protocol import Protocol
from bokeh.util.token import generate_session_id
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from harness.wire import Wire, WireClosed
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

Start = Callable[..., Replica]
WriteApp = Callable[..., CountedApp]

SHOWS_WHAT_IT_GOT = """
import logging, sys
from bokeh.io import curdoc
from bokeh.models import Div
request = curdoc().session_context.request
curdoc().add_root(Div(name="got", text=repr({
    "headers": sorted(request.headers), "cookies": sorted(request.cookies), "argv": sys.argv[1:],
    "protocol": request.protocol, "ip": request.remote_ip,
})))
curdoc().add_root(Div(text=" ".join(map(str, range(1000)))))
logging.getLogger("app").warning("a line of the app")
curdoc().on_session_destroyed(lambda context: logging.getLogger("app").warning("the app's last line"))
"""
SHORT_SECONDS = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module")
def many(folder: Path) -> Iterator[Replica]:
    """A server with every flag that does not get into another's way."""
    (folder / "icon.ico").write_bytes(b"an icon")
    (folder / "index.html").write_text("own index of {{ items }}")
    app = CountedApp(folder, "app", body=SHOWS_WHAT_IT_GOT)
    with Below(
        [app.path],
        name="many flags",
        prefix="/some/where",
        env={"SVC_LOG_LEVEL": None},
        args=[
            *("--ico-path", str(folder / "icon.ico"), "--index", str(folder / "index.html")),
            *("--disable-index-redirect", "--use-xheaders", "--log-format", "json", "--log-level", "debug"),
            *("--keep-alive", "50", "--stats-log-frequency", "100", "--mem-log-frequency", "300"),
            *("--unused-session-lifetime", str(SHORT_SECONDS * 1000), "--check-unused-sessions", "50"),
            *("--session-token-expiration", "1", "--websocket-max-message-size", "5000"),
            *("--websocket-compression-level", "9", "--websocket-compression-mem-level", "2"),
            *("--exclude-headers", "Secret-Header", "--exclude-cookies", "secret_cookie"),
            *("--args", "--hello", "world"),
        ],
    ) as server:
        yield server


@pytest.fixture(scope="module")
def other(folder: Path) -> Iterator[Replica]:
    """A server with those flags that contradict the first one's."""
    app = CountedApp(folder, "other", body=SHOWS_WHAT_IT_GOT)
    with Quiet(
        [app.path],
        name="other flags",
        env={"BOKEH_SECRET_KEY": "a key for tests", "BOKEH_PY_LOG_LEVEL": "info"},
        args=[
            *("--ico-path", "none", "--disable-index", "--disable-index-redirect", "--log-level", "warning"),
            *("--include-headers", "Wanted-Header", "--include-cookies", "wanted_cookie"),
            *("--session-ids", "external-signed", "--log-file", str(folder / "svc.log")),
            *("--allow-websocket-origin", "dashboard.corp:*"),
        ],
    ) as server:
        yield server


class Below(Replica):
    """A replica that is ready when its static files are: health checks do not move with --prefix."""

    ready_path = "/static/js/bokeh.min.js"


class Quiet(Replica):
    """A replica that logs to a file, and so prints no URL to wait for."""

    def wait_ready(self, timeout: float | None = None, *, after: int = 0) -> None:
        deadline = time.monotonic() + (timeout or 30)
        while self.status("/readyz") != 200:
            if not self.running or time.monotonic() > deadline:
                raise self._failure("is not ready")
            time.sleep(0.02)


async def got(replica: Replica, **request: Any) -> dict[str, Any]:
    async with await Client.open(replica.app_url(), **request) as client:
        found: dict[str, Any] = ast.literal_eval(client.value("got", "text"))
        return found


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=40) as response:
        content: bytes = response.read()
        return content


# -- the first server ------------------------------------------------------------------------------


@pytest.mark.flags("--prefix")
def test_prefix_is_before_every_path(many: Replica) -> None:
    assert b"bokeh" in fetch(f"http://{many.host}/some/where/app").lower()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"http://{many.host}/app")


@pytest.mark.flags("--ico-path")
def test_ico_path(many: Replica) -> None:
    assert fetch(f"{many.url}/favicon.ico") == b"an icon"


@pytest.mark.flags("--index", "--disable-index-redirect")
def test_index_and_disable_index_redirect(many: Replica) -> None:
    assert fetch(f"{many.url}/").startswith(b"own index")


@pytest.mark.flags("--use-xheaders")
async def test_use_xheaders(many: Replica) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    headers["Origin"] = f"http://{many.host}"

    seen = await got(many, headers=headers)

    assert (seen["protocol"], seen["ip"]) == ("https", "203.0.113.9")


@pytest.mark.flags("--exclude-headers", "--exclude-cookies")
async def test_exclude_headers_and_cookies(many: Replica) -> None:
    headers = {"Secret-Header": "1", "Wanted-Header": "1"}

    seen = await got(many, headers=headers, cookies={"secret_cookie": "1", "wanted_cookie": "1"})

    assert "Wanted-Header" in seen["headers"]
    assert "Secret-Header" not in seen["headers"]
    assert seen["cookies"] == ["wanted_cookie"]


@pytest.mark.flags("--args")
async def test_args_are_the_apps_argv(many: Replica) -> None:
    assert (await got(many))["argv"] == ["--hello", "world"]


@pytest.mark.flags("--log-format", "--log-level")
async def test_log_format_json_and_log_level(many: Replica) -> None:
    client = await Client.open(many.app_url())
    await client.close()

    for words in ("a line of the app", "the app's last line"):
        line = json.loads(many.wait_line(words).string)
        assert {"level", "message", "replica", "app", "session"} <= line.keys()
        assert (line["app"], len(line["session"])) == ("/app", 8)
    assert client.page is not None
    assert client.page.session_id not in many.log
    many.wait_line('"level": "debug"')


@pytest.mark.flags("--stats-log-frequency", "--mem-log-frequency")
def test_stats_and_mem_log_frequency(many: Replica) -> None:
    many.wait_line(r"clients connected", 10)
    many.wait_line(r"Memory usage: [\d.]+ MB \(RSS\)", 10)


@pytest.mark.flags("--keep-alive")
async def test_keep_alive_pings(many: Replica) -> None:
    pings: asyncio.Queue[bytes] = asyncio.Queue()
    page = await get_page(many.app_url())
    request = HTTPRequest(_socket_url(many), headers={"Origin": f"http://{many.host}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", page.token])
    socket.on_ping = pings.put_nowait  # type: ignore[method-assign]
    for _ in range(3):
        assert await socket.read_message() is not None  # the frames of the ACK; else it does not read on
    for _ in range(3):
        await asyncio.wait_for(pings.get(), 30)
    await shut(socket)


@pytest.mark.flags("--unused-session-lifetime", "--check-unused-sessions")
async def test_unused_session_lifetime_and_check(many: Replica) -> None:
    async with await Client.open(many.app_url()):
        first = len(many.lines)
        many.wait_line(r"/app has [1-9]\d* sessions", 10, after=first)

    # The stats stop naming the app once nobody holds a session of it: far sooner than by default.
    many.wait_line(r"0 clients connected", 10, after=len(many.lines))
    ended = len(many.lines)
    await asyncio.to_thread(many.wait_line, r"0 clients connected.*\n?", 10, after=ended)
    deadline = time.monotonic() + 30
    while any("/app has" in line for line in many.lines[-3:]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.flags("--session-token-expiration")
async def test_session_token_expiration(many: Replica) -> None:
    page = await get_page(many.app_url())
    await asyncio.sleep(2.1)  # the token's age is what this is about

    async with Client(many.app_url(), page.token) as late:
        await late.pull()
        assert late.document.title == "This session has ended."


@pytest.mark.flags("--websocket-max-message-size")
async def test_websocket_max_message_size(many: Replica) -> None:
    async with await Client.open(many.app_url()) as client:
        await client.wire.send_frames(["x" * 6000])

        # The rest is not read, so the frame that says why may be lost with the connection.
        assert await client.wait_closed() in (1009, 1006, None)


@pytest.mark.flags("--websocket-compression-level", "--websocket-compression-mem-level")
async def test_websocket_compression_level_and_memory(many: Replica) -> None:
    """zlib's output depends on both: the same text compressed here is the same, byte by byte."""
    page = await get_page(many.app_url())
    request = HTTPRequest(_socket_url(many), headers={"Origin": f"http://{many.host}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", page.token], compression_options={})
    assert "permessage-deflate" in socket.headers["Sec-WebSocket-Extensions"]
    frames = frames_of(socket)

    for part in Protocol().create("SERVER-INFO-REQ"), Protocol().create("PULL-DOC-REQ"):
        for text in (part.header_json, part.metadata_json, part.content_json):
            await socket.write_message(text)
    while not any(len(text) > 3000 for text, _ in frames):
        assert await asyncio.wait_for(socket.read_message(), 30) is not None

    seen = [compressed for _, compressed in frames]
    assert seen == deflated([text for text, _ in frames], level=9, memory=2)
    for level, memory in ((9, 8), (1, 2)):
        assert seen != deflated([text for text, _ in frames], level=level, memory=memory)
    await shut(socket)


def frames_of(socket: WebSocketClientConnection) -> list[tuple[bytes, bytes]]:
    """Each frame from here on, as text and as it came (tornado 6.5)."""
    frames: list[tuple[bytes, bytes]] = []
    decompressor: Any = socket.protocol._decompressor  # type: ignore[union-attr]
    decompress = decompressor.decompress

    def noting(data: bytes) -> bytes:
        text: bytes = decompress(data)
        frames.append((text, data))
        return text

    decompressor.decompress = noting
    return frames


def deflated(texts: list[bytes], *, level: int, memory: int) -> list[bytes]:
    """As one connection compresses these messages (RFC 7692: without the last four bytes)."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, memory)
    return [(compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for text in texts]


async def shut(socket: WebSocketClientConnection) -> None:
    socket.close()
    while await asyncio.wait_for(socket.read_message(), 40) is not None:
        pass


# -- the second server -----------------------------------------------------------------------------


@pytest.mark.flags("--ico-path")
def test_no_icon(other: Replica) -> None:
    assert other.status("/favicon.ico") == 404


@pytest.mark.flags("--disable-index")
def test_disable_index(other: Replica) -> None:
    assert other.status("/") == 404


def signed_id(key: bytes = b"a key for tests") -> str:
    return str(generate_session_id(secret_key=key, signed=True))


@pytest.mark.flags("--session-ids")
async def test_session_ids_external_signed(other: Replica) -> None:
    assert (await get_page(other.app_url())).status == 403
    assert (await get_page(other.app_url(), session_id=signed_id(b"wrong"))).status == 403
    assert (await get_page(other.app_url(), session_id=signed_id())).status == 200


@pytest.mark.flags("--include-headers", "--include-cookies")
async def test_include_headers_and_cookies(other: Replica) -> None:
    seen = await got(
        other,
        session_id=signed_id(),
        headers={"Secret-Header": "1", "Wanted-Header": "1"},
        cookies={"secret_cookie": "1", "wanted_cookie": "1"},
    )

    assert "Wanted-Header" in seen["headers"]
    assert "Secret-Header" not in seen["headers"]
    assert seen["cookies"] == ["wanted_cookie"]


@pytest.mark.flags("--allow-websocket-origin")
async def test_allow_websocket_origin(other: Replica) -> None:
    page = await get_page(other.app_url(), session_id=signed_id())
    url = _socket_url(other)

    allowed = await Wire.open(url, page.token, headers={"Origin": "https://dashboard.corp"})
    await allowed.close()
    while await allowed.receive() is not None:
        pass
    with pytest.raises(WireClosed) as refused:
        await Wire.open(url, page.token, headers={"Origin": "https://dashboard.corp.evil.com"})

    assert refused.value.http_status == 403


@pytest.mark.flags("--log-file", "--log-level")
async def test_log_file_and_log_level(other: Replica, folder: Path) -> None:
    await get_page(other.app_url())  # refused, with a warning

    text = (folder / "svc.log").read_text()
    assert "WARNING" in text
    assert "INFO" not in text
    assert "WARNING" not in other.log


# -- servers of their own --------------------------------------------------------------------------


@pytest.mark.flags("--port")
def test_port_zero_picks_one_and_prints_it(counted_app: WriteApp) -> None:
    server = Replica([counted_app().path], name="any port", args=["--port", "0"])
    try:
        server.start(ready=False)
        url = server.wait_line(r"running at: (http://\S+)")[1]

        assert f":{server.port}/" not in url
        assert ":5006/" not in url  # the default
        assert b"bokeh" in fetch(url).lower()
    finally:
        server.stop()


@pytest.mark.flags("--address")
def test_address_is_the_only_one(other: Replica) -> None:
    # The harness gives --address 127.0.0.1.
    with pytest.raises(OSError):
        fetch(f"http://127.0.0.2:{other.port}/healthz")


@pytest.mark.flags("--unix-socket")
async def test_unix_socket_serves_and_is_removed_at_the_end(counted_app: WriteApp, tmp_path: Path) -> None:
    path = tmp_path / "svc.sock"
    server = UnixReplica(counted_app().path, path)
    with server:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /counted HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b" 200 OK" in await asyncio.wait_for(reader.readline(), 40)
        writer.close()
    assert not path.exists()


class UnixReplica(Replica):
    def __init__(self, app: Path, path: Path) -> None:
        super().__init__([app], name="unix replica")
        self.path = path

    def _command_line(self) -> list[str]:
        return [*self.command, *map(str, self.apps), "--unix-socket", str(self.path)]

    def wait_ready(self, timeout: float | None = None, *, after: int = 0) -> None:
        self.wait_line("running at: unix:", timeout or 30, after=after)


@pytest.mark.flags("--glob", "--show", "--log-format")
def test_glob_show_and_a_log_format_string(folder: Path, tmp_path: Path, replica: Start) -> None:
    for name in ("glob_a", "glob_b"):
        CountedApp(tmp_path, name)
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho shown $1 >> {tmp_path}/shown\n")
    browser.chmod(0o755)

    server = replica(
        [tmp_path / "glob_*.py"],
        args=["--glob", "--show", "--log-format", "<%(levelname)s> %(message)s"],
        env={"BROWSER": str(browser)},
    )

    assert fetch(f"{server.url}/glob_a")
    assert fetch(f"{server.url}/glob_b")
    server.wait_line(r"^<INFO> ")
    assert "shown" in (tmp_path / "shown").read_text()


def test_a_pattern_without_a_match_is_an_error() -> None:
    done = run_serve("--glob", "/nowhere/*.py")

    assert done.returncode == 2
    assert "/nowhere/*.py" in done.stderr


@pytest.mark.flags("--use-config")
def test_use_config_reaches_bokeh_itself(counted_app: WriteApp, tmp_path: Path, replica: Start) -> None:
    config = tmp_path / "bokeh.yaml"
    config.write_text("resources: cdn\n")

    server = replica([counted_app().path], args=["--use-config", str(config)])

    assert b"cdn.bokeh.org" in fetch(server.app_url())


def run_serve(*argv: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "serve", *argv], capture_output=True, text=True, timeout=60, check=False
    )


def _socket_url(server: Replica) -> str:
    return f"ws{server.app_url().removeprefix('http')}/ws"
