"""A handshake done on the socket is answered as Tornado answers it, byte for byte; the rest is Tornado's.

Each is made twice, the second time with a header in a form that only Tornado reads.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page, token_head
from harness.tools import require

from service.documents.extensions import made_with
from service.tokens import TokenAuthority
from store.contract import SessionKey

SECRET = "a secret key that both sides of these tests know"
CLOSE = bytes([0x88, 0x82, 1, 2, 3, 4, 1000 >> 8 ^ 1, 1000 & 255 ^ 2])
"""A close frame with 1000, as clients mask it."""

ONLY_TORNADOS = "X-Spaces:   3"
DONE = "was done on the socket itself"

Headers = dict[str, str]
Change = Callable[[Headers], list[str] | None]
"""Changes headers in place, or gives all lines anew."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def server(redis: RedisServer, examples: Path) -> Iterator[Replica]:
    options = ["--secret-key", SECRET, "--log-level", "debug", "--unused-session-lifetime", "60"]
    apps = [examples / "sliders.py", examples / "streaming.py"]
    with Replica(apps, redis_url=redis.url, args=options) as running:
        yield running


def usual(server: Replica, token: str) -> Headers:
    return {
        "Host": server.host,
        "X-Forwarded-For": "10.0.0.1",
        "Upgrade": "websocket",
        "Connection": "upgrade",
        "Origin": f"http://{server.host}",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": f"bokeh, {token}",
    }


def with_(**changes: str | None) -> Change:
    """``a_b="x"`` for the header A-B; None for without it."""

    def change(headers: Headers) -> None:
        for name, value in changes.items():
            known = {each.lower(): each for each in headers}
            name = known.get(name.replace("_", "-").lower(), name.replace("_", "-"))
            headers.pop(name, None) if value is None else headers.update({name: value})

    return change


def lines_and(*more: str) -> Change:
    return lambda headers: [*(f"{name}: {value}" for name, value in headers.items()), *more]


AS_BROWSERS = with_(
    Connection="keep-alive, Upgrade", User_Agent="Mozilla/5.0 (X11)", Accept="*/*", Cookie="a=b; c=d",
    Accept_Language="en-US,en;q=0.5", Accept_Encoding="gzip, deflate, br, zstd", Pragma="no-cache",
    Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="websocket", Sec_Fetch_Dest="empty",
    Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
)  # fmt: skip

GET = "GET /sliders/ws HTTP/1.1"

TABLE: dict[str, tuple[int, bool, str, Change]] = {
    # status, whether without Tornado, request line, what is different
    "a proxy": (101, True, GET, with_()),
    "a browser": (101, True, GET, AS_BROWSERS),
    "no browser": (101, True, GET, with_(Origin=None)),
    "other letters": (101, True, GET, with_(Upgrade="WebSocket", Connection="Upgrade")),
    "another site that is let in": (101, True, GET, with_(Sec_Fetch_Site="cross-site")),
    "odd extensions": (101, True, GET, with_(Sec_WebSocket_Extensions=";;=,")),
    "a name for a host": (101, True, GET, with_(Host="upstream", Origin=None)),
    "an address": (101, True, GET, with_(Host="[::1]:8080", Origin=None)),
    "two cookies": (101, False, GET, lines_and("Cookie: a=b", "Cookie: c=d")),
    "an odd key": (101, False, GET, with_(Sec_WebSocket_Key="odd")),
    "version 8": (426, False, GET, with_(Sec_WebSocket_Version="8")),
    "much to say": (101, False, GET, with_(Cookie="x" * 9000)),
    "not ASCII": (101, False, GET, with_(Cookie="a=\xe4")),
    "an empty body": (101, False, GET, with_(Content_Length="0")),
    "a type of body": (101, False, GET, with_(Content_Type="text/plain")),
    "arguments": (101, False, "GET /sliders/ws?a=b HTTP/1.1", with_()),
    "quoted": (404, False, "GET /%73liders/ws HTTP/1.1", with_()),
    "no version": (426, False, GET, with_(Sec_WebSocket_Version=None)),
    "a new version": (426, False, GET, with_(Sec_WebSocket_Version="14")),
    "no key": (400, False, GET, with_(Sec_WebSocket_Key=None)),
    "no upgrade": (400, False, GET, with_(Upgrade=None)),
    "another upgrade": (400, False, GET, with_(Upgrade="h2c")),
    "a connection to close": (400, False, GET, with_(Connection="close")),
    "no host": (400, False, GET, with_(Host=None)),
    "two hosts": (400, False, GET, lines_and("Host: localhost")),
    "a foreign host": (403, False, GET, with_(Host="evil.test")),
    "a foreign origin": (403, False, GET, with_(Origin="http://evil.test")),
    "no origin at all": (403, False, GET, with_(Origin="null")),
    "another site without an origin": (403, False, GET, with_(Origin=None, Sec_Fetch_Site="cross-site")),
    "no token": (403, False, GET, with_(Sec_WebSocket_Protocol=None)),
    "no protocol": (403, False, GET, with_(Sec_WebSocket_Protocol="bokeh")),
    "a wrong token": (403, False, GET, with_(Sec_WebSocket_Protocol="bokeh, a.b.c")),
    "of another app": (403, False, "GET /streaming/ws HTTP/1.1", with_()),
    "nothing there": (404, False, "GET /nothing/ws HTTP/1.1", with_()),
    "a slash more": (404, False, "GET /sliders/ws/ HTTP/1.1", with_()),
    "another method": (405, False, "POST /sliders/ws HTTP/1.1", with_(Content_Length="0")),
    "a file": (404, False, "GET /static/js/none HTTP/1.1", with_()),
}


def exchange(server: Replica, head: bytes) -> tuple[int, bytes]:
    """Status, and all that comes back to this, with a close frame behind it."""
    with socket.create_connection(server.host.split(":"), timeout=60) as connection:
        connection.sendall(head + CLOSE)
        answer = connection.recv(1 << 16)
        status = int(answer.split(b" ", 2)[1])
        if status != 101:  # else the end of what we send could be there before the frame is read
            connection.shutdown(socket.SHUT_WR)
        while more := connection.recv(1 << 16):
            answer += more
    return status, answer


def comparable(answer: bytes) -> bytes:
    """Without what differs from one answer to the next: its date, and its message's number and length."""
    answer = re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate:", answer)
    return re.sub(rb'.(\{"msgid": "\w+-)\d+', rb"\1", answer, flags=re.DOTALL)


def request(line: str, headers: Headers, change: Change, *, tornados: bool) -> bytes:
    lines = change(headers) or [f"{name}: {value}" for name, value in headers.items()]
    more = [ONLY_TORNADOS] if tornados else []
    return "\r\n".join([line, *lines, *more, "", ""]).encode("latin-1")


async def both_ways(server: Replica, ask: Callable[[bool], bytes]) -> tuple[int, bool]:
    """The status, and whether that was without Tornado, of an answer that is the same by Tornado."""
    found = []
    for tornados in (False, True):
        seen = len(server.lines)
        status, answer = await asyncio.to_thread(exchange, server, ask(tornados))
        lines = await logged(server, seen)
        told = [re.sub(r"^\S+|session=\S+", "", line) for line in lines if re.search("WARN|ERROR", line)]
        found.append((status, comparable(answer), told, any(DONE in line for line in lines)))
    ours, theirs = found
    assert ours[:3] == theirs[:3]
    assert not theirs[3]
    return ours[0], ours[3]


async def logged(server: Replica, seen: int) -> list[str]:
    """What is logged from there on; of what is to come, one line is known."""
    mark = f"mark{next(_marks)}.test"
    head = request(GET, usual(server, "token"), with_(Origin=f"http://{mark}"), tornados=True)
    await asyncio.to_thread(exchange, server, head)
    server.wait_line(mark, after=seen)
    return [line for line in server.lines[seen:] if mark not in line]


_marks = itertools.count()


@pytest.mark.parametrize("case", TABLE)
async def test_both_ways_answer_alike(server: Replica, case: str) -> None:
    status, directly, line, change = TABLE[case]
    tokens = [(await get_page(server.app_url("sliders"))).token for _ in range(2)]

    def ask(tornados: bool) -> bytes:
        return request(line, usual(server, tokens[tornados]), change, tornados=tornados)

    assert await both_ways(server, ask) == (status, directly)


async def test_who_brings_what_its_session_begins_with_is_tornados(server: Replica) -> None:
    """As ``bokeh.client`` does: what the session is begun with comes from the request."""

    def ask(tornados: bool) -> bytes:
        id_ = generate_session_id(SECRET.encode(), signed=False)
        token = generate_jwt_token(id_, secret_key=SECRET.encode(), signed=False)
        return request(GET, usual(server, token), with_(Origin=None), tornados=tornados)

    assert await both_ways(server, ask) == (101, False)


# -- other replicas --------------------------------------------------------------------------------

RELAYS: dict[str, tuple[int, bool, int, Change]] = {
    # status, whether without Tornado, of which epoch, what is different
    "as replicas ask": (101, True, 0, with_()),
    "of a page": (101, True, 0, with_(Svc_Page=made_with().text)),
    "of a page of other versions": (101, False, 0, with_(Svc_Page="1.0 1.0")),
    "of a release that says less": (101, True, 0, with_(Svc_Token_Id=None)),
    "of a browser": (403, False, 0, with_(Origin="http://evil.test")),
    "the owner at another time": (410, False, 1, with_()),
    "without a token": (403, False, 0, with_(Authorization=None)),
    "with another one": (403, False, 0, with_(Authorization="Bearer a.b.c", Svc_Relay_Token="a.b.c")),
    "with another one besides": (101, False, 0, with_(Authorization="Bearer a.b.c")),
}


@pytest.mark.parametrize("case", RELAYS)
async def test_relays_are_answered_alike(server: Replica, redis: RedisServer, case: str) -> None:
    status, directly, later, change = RELAYS[case]
    token = (await get_page(server.app_url("sliders"))).token
    async with Client(server.app_url("sliders"), token) as client:
        await client.pull()
        key = SessionKey("/sliders", token_head(token)["session_id"])
        epoch = int(redis.command("HGET", f"svc:{{{key.tag}}}:session", "epoch")) + later
        replica = redis.command("HGET", f"svc:{{{key.tag}}}:session", "owner").decode()

        def ask(tornados: bool) -> bytes:
            authority, now = TokenAuthority(SECRET), time.time()
            (grant,) = authority.mint_relay("/sliders", key.session_id, epoch, replica, now=now)
            headers = usual(server, "")
            with_(Origin=None, Sec_WebSocket_Protocol=None)(headers)
            headers |= {"Authorization": f"Bearer {grant}", "Svc-Relay-Token": grant, "Svc-Token-Id": "id"}
            return request("GET /_svc/relay HTTP/1.1", headers, change, tornados=tornados)

        assert await both_ways(server, ask) == (status, directly)
        assert client.connected
