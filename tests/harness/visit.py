"""One view of an app with a slider, over http or https: page, WebSocket, Document, and a change of it."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from typing import Any

from bokeh.protocol import Protocol
from bokeh.protocol.messages.patch_doc import patch_doc
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from harness.pages import Page
from harness.wire import Wire


async def visit(url: str, tls: ssl.SSLContext | None = None) -> None:
    """Whatever is not as it should be fails an assertion."""
    client = AsyncHTTPClient(force_instance=True)
    response = await client.fetch(HTTPRequest(url, ssl_options=tls, request_timeout=20))
    client.close()
    page = Page(url, response.code, response.headers, response.body.decode(), {})
    origin = "/".join(url.split("/")[:3])
    request = HTTPRequest(f"ws{url.removeprefix('http')}/ws", headers={"Origin": origin}, ssl_options=tls)
    wire = Wire(await websocket_connect(request, subprotocols=["bokeh", page.token]))
    await _answer(wire, "ACK")
    await wire.send(Protocol().create("PULL-DOC-REQ"))
    document = (await _answer(wire, "PULL-DOC-REPLY")).content["doc"]
    slider = re.search(r'"name": "Slider", "id": "([^"]+)"', json.dumps(document))
    assert slider
    change = {"kind": "ModelChanged", "model": {"id": slider[1]}, "attr": "value", "new": 7}
    content: Any = {"events": [change]}
    await wire.send(patch_doc(patch_doc.create_header(), {}, content))
    await _answer(wire, "OK")
    await wire.close()
    while await wire.receive() is not None:
        pass


async def _answer(wire: Wire, kind: str) -> Any:
    """The next message, but for what the app's callbacks change."""
    while True:
        message = await asyncio.wait_for(wire.receive(), 30)
        assert message is not None, wire.close_reason
        if message.msgtype != "PATCH-DOC":
            assert message.msgtype == kind
            return message
