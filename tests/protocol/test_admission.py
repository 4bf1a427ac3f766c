"""Who may open a WebSocket: right tokens from right pages. Others get a status, and a line in the log."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable

import jwt
import pytest
from bokeh.document import Document
from bokeh.models import Button
from bokeh.util.token import generate_jwt_token, generate_session_id
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.client import Client, ServerError
from harness.pages import get_page, token_head
from harness.wire import Wire, WireClosed

FRONTS = ("tornado", "uvicorn", "hypercorn")

SECRET = "a secret key that both sides of these tests know"


def encoded(head: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()


def flipped(text: str, at: int) -> str:
    """`text` with one character changed."""
    at %= len(text)
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


async def refused(server: Replica, token: str | None, app: str = "sliders", **headers: str) -> list[str]:
    """What the server logs while it refuses this WebSocket with 403."""
    seen = len(server.lines)
    with pytest.raises(WireClosed) as closed:
        await Wire.open(f"ws://{server.host}/{app}/ws", token, headers=headers)
    assert closed.value.http_status == 403
    server.wait_line(f"GET /{app}/ws", after=seen)
    return server.lines[seen:]


# -- tokens ----------------------------------------------------------------------------------------

FORGERIES: dict[str, Callable[[str], str]] = {
    "truncated in the signature": lambda token: token[:-5],
    "truncated in the claims": lambda token: token[: token.rindex(".") - 4],
    "only its head": lambda token: token.split(".")[0],
    "another head": lambda token: ".".join(
        [encoded({**token_head(token), "session_id": "somebody else's"}), *token.split(".")[1:]]
    ),
    "another signature": lambda token: flipped(token, -5),
    "other claims": lambda token: ".".join([token.split(".")[0], encoded({"aud": "x"}), token.split(".")[2]]),
    "no algorithm": lambda token: ".".join(
        [encoded({**token_head(token), "alg": "none"}), token.split(".")[1], ""]
    ),
    "signed by somebody else": lambda token: jwt.encode(
        jwt.decode(token, options={"verify_signature": False}),
        "another secret key that is long enough for this",
        headers=token_head(token),
    ),
    "oversized": lambda token: "x" * 60_000 + "." + token,
    "four parts": lambda token: token + ".more",
    "no token at all": lambda token: "Zm9v",
    "JSON that is no object": lambda token: encoded([1, 2, 3]),
    "no session id": lambda token: encoded({"session_expiry": 1 << 40}),
    "an endless session id": lambda token: encoded({"session_id": "x" * 10_000, "session_expiry": 1 << 40}),
}


@pytest.mark.parametrize("way", FORGERIES)
async def test_a_token_that_is_not_right_is_refused_in_one_line(server: Replica, way: str) -> None:
    token = FORGERIES[way]((await get_page(server.app_url("sliders"))).token)
    if way == "oversized" and server.name != "tornado":
        with pytest.raises(WireClosed):  # by the ASGI server, if that has limits of its own
            await Wire.open(f"ws://{server.host}/sliders/ws", token)
        return

    logged = await refused(server, token)

    assert len(logged) == 1
    assert "Traceback" not in logged[0]
    assert token[:40] not in logged[0]
    assert all(part not in logged[0] for part in token.split(".") if len(part) > 10)


async def test_no_subprotocol_is_no_token(server: Replica) -> None:
    if server.name == "uvicorn":
        with pytest.raises(WireClosed):  # by itself: the header is there, and empty
            await Wire.open(f"ws://{server.host}/sliders/ws", None)
        return
    assert len(await refused(server, None)) == 1


async def test_a_token_is_for_one_app_only(server: Replica) -> None:
    token = (await get_page(server.app_url("sliders"))).token
    assert len(await refused(server, token, app="streaming")) == 1


async def test_a_request_that_is_no_websocket_is_a_bad_request(server: Replica) -> None:
    page = await get_page(f"{server.app_url('sliders')}/ws")
    assert page.status in (400, 403, 426)


async def test_nothing_secret_was_logged(server: Replica) -> None:
    async with await Client.open(server.app_url("sliders")) as client:
        await client.wire.send_frames(["not json"])
        await client.wait_closed()
        await get_page(server.app_url("nothing"), session_id=client.page.session_id if client.page else "")
        assert client.page is not None
        assert client.token.split(".")[2] not in server.log
        assert client.page.session_id not in server.log


# -- age -------------------------------------------------------------------------------------------


async def test_an_expired_token_begins_no_session_but_finds_the_one_it_began(
    replica: Callable[..., Replica], examples: object
) -> None:
    """Bokeh refuses both, so that a long session can never reconnect."""
    short = ["--session-token-expiration", "1"]
    server = replica([f"{examples}/sliders.py"], args=short)
    url = server.app_url()
    async with await Client.open(url) as client:
        unused = await get_page(url)  # a shell: no session is begun with it
        expiry = token_head(unused.token)["session_expiry"]
        await asyncio.to_thread(eventually, lambda: time.time() > expiry + 0.5)
        client.wire.drop()
        await client.wait_closed()
        await client.reconnect()
        assert client.value("freq", "value") == 1.0

    seen = len(server.lines)
    async with Client(url, unused.token) as late:
        await late.pull()
        assert late.document.title == "This session has ended."
        await late.patch(Button, label="Go on")  # as a page tells its size: no error, and no use
        with pytest.raises(ServerError, match="has ended"):
            await late.push(Document())
    server.wait_line("refusing a WebSocket.*too old", after=seen)
    assert len(server.lines[seen:]) == 1


async def close_code(client: Client) -> int | None:
    """With what the server closes this client's connection before its ACK."""
    with pytest.raises(WireClosed) as closed:
        await client.connect()
    await client.close()
    return closed.value.close_code


# -- Bokeh's own formats ---------------------------------------------------------------------------


@pytest.fixture
def signing(replica: Callable[..., Replica], examples: object) -> Replica:
    return replica(
        [f"{examples}/sliders.py"],
        args=["--session-ids", "external-signed"],
        env={"BOKEH_SECRET_KEY": SECRET},
    )


async def test_signed_ids_from_outside(signing: Replica) -> None:
    """As an app that embeds this one makes them, with `generate_session_id`."""
    session_id = generate_session_id(SECRET, signed=True)
    async with await Client.open(signing.app_url(), session_id=session_id) as client:
        assert client.page is not None
        assert client.page.session_id == session_id
        assert client.value("freq", "value") == 1.0

    page = await get_page(signing.app_url(), session_id=flipped(session_id, -5))
    assert page.status == 403
    assert (await get_page(signing.app_url())).status == 403
    unsigned = generate_session_id(signed=False)
    assert (await get_page(signing.app_url(), session_id=unsigned)).status == 403


async def test_signed_tokens_from_outside(signing: Replica) -> None:
    """As `bokeh.client` and FastAPI-like hosts make them; with the request inside."""
    session_id = generate_session_id(SECRET, signed=True)
    token = generate_jwt_token(session_id, SECRET, signed=True, extra_payload={"headers": {"X": "y"}})
    async with Client(signing.app_url(), token) as client:
        await client.pull()
        assert client.value("freq", "value") == 1.0
    await refused(signing, flipped(token, -5))
    await refused(signing, flipped(token, 20))
    await refused(signing, generate_jwt_token(session_id, signed=False))
    old = generate_jwt_token(generate_session_id(SECRET, signed=True), SECRET, signed=True, expiration=-10)
    assert await close_code(Client(signing.app_url(), old)) == 1008


async def test_a_bokeh_token_that_inflates_too_much_is_refused(signing: Replica) -> None:
    session_id = generate_session_id(SECRET, signed=True)
    bomb = generate_jwt_token(session_id, SECRET, signed=True, extra_payload={"headers": {"X": "y" * 10**6}})
    assert len(bomb) < 5000
    assert "payload is over" in (await refused(signing, bomb))[0]


# -- origins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.test", None),
        ("http://evil.test:{port}", None),
        ("null", None),
        ("http://localhost:1", None),
        ("file://", None),
        ("http://evil.test:{port}", "evil.test:{port}"),  # DNS rebinding: the page and we agree on the name
        ("http://localhost:{port}", "evil.test:{port}"),
        (None, "evil.test:{port}"),
        ("http://127.0.0.1:{port}@evil.test", None),
        ("http://127.0.0.1:{port}.evil.test", None),
    ],
)
async def test_a_foreign_page_or_host_is_refused_in_one_line(
    server: Replica, origin: str | None, host: str | None
) -> None:
    page = await get_page(server.app_url("sliders"))
    headers = {"Origin": (origin or "").format(port=server.port)}
    if host is not None:
        headers["Host"] = host.format(port=server.port)
    logged = await refused(server, page.token, **headers)
    assert len(logged) == 1
    assert "--allow-websocket-origin" in logged[0] or "not name a host" in logged[0]


async def test_without_origin_it_is_no_browser_and_welcome(server: Replica) -> None:
    page = await get_page(server.app_url("sliders"))
    async with Client(server.app_url("sliders"), page.token, headers={"Origin": ""}) as client:
        await client.pull()
