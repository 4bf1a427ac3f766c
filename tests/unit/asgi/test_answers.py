"""What handlers write becomes events, in order, and waits for the server to take it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import StreamClosedError

from service.asgi.answers import Answer

SCOPE = {"type": "http", "path": "/", "headers": []}


def head(answer: Answer, chunk: bytes | None = None) -> asyncio.Future[None]:
    headers = HTTPHeaders({"Content-Type": "text/plain", "Server": "another"})
    return answer.write_headers(ResponseStartLine("", 200, "OK"), headers, chunk)


async def test_a_short_answer_is_two_events() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(dict(event))

    answer = Answer(SCOPE)
    head(answer, b"text")
    answer.finish()
    await answer.send(send)

    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]},
        {"type": "http.response.body", "body": b"text", "more_body": False},
    ]


async def test_who_writes_much_waits_for_the_server() -> None:
    taken = asyncio.Event()

    async def send(event: Any) -> None:
        await taken.wait()

    answer = Answer(SCOPE)
    head(answer)
    written = answer.write(b"much")
    sending = asyncio.ensure_future(answer.send(send))
    await asyncio.sleep(0)
    assert not written.done()
    taken.set()
    await written
    answer.finish()
    await sending


async def test_an_answer_without_a_body_ends_all_the_same() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event["type"])

    answer = Answer(SCOPE)
    head(answer)
    answer.finish()
    await answer.send(send)
    assert sent == ["http.response.start", "http.response.body"]


async def test_who_writes_to_a_client_that_is_gone_is_told() -> None:
    async def send(event: Any) -> None:
        raise OSError("gone")

    answer = Answer(SCOPE)
    head(answer)
    later = answer.write(b"more")
    with pytest.raises(OSError, match="gone"):
        await answer.send(send)
    for written in (later, answer.write(b"and more")):
        with pytest.raises(StreamClosedError):
            await written
