#!/bin/sh
# bokeh 3.9.2 and 3.10.2 with tornado 6.6.1: two clients share a session, and one adds a root that is new to it. 3.9.2
# sends the other client the whole model; 3.10.2 encodes the change only after the session has taken the model for
# known to its clients, and sends a bare reference to something that the other client never got.
# Seen in the PATCH-DOC for the second client: a model with its attributes, then {'id': ...} alone.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import asyncio
import json

from bokeh.application import Application
from bokeh.server.server import Server
from bokeh.util.token import generate_jwt_token
from tornado.websocket import websocket_connect

SLIDER = {
    "type": "object", "name": "Slider", "id": "from-the-first",
    "attributes": {"start": 0, "end": 1, "value": 0.5},
}

async def client(port):
    token = generate_jwt_token("shared")
    socket = await websocket_connect(f"ws://127.0.0.1:{port}/ws", subprotocols=["bokeh", token])
    assert (await message(socket))[0]["msgtype"] == "ACK"
    await send(socket, "PULL-DOC-REQ", {})
    await message(socket)
    return socket

async def send(socket, kind, content):
    for frame in ({"msgid": kind, "msgtype": kind}, {}, content):
        await socket.write_message(json.dumps(frame))

async def message(socket):
    header, _, content = [json.loads(await socket.read_message()) for _ in range(3)]
    return header, content

async def main():
    server = Server({"/": Application()}, port=0)
    server.start()
    one, two = await client(server.port), await client(server.port)
    await send(one, "PATCH-DOC", {"events": [{"kind": "RootAdded", "model": SLIDER}]})
    assert (await message(one))[0]["msgtype"] == "OK"
    (event,) = (await message(two))[1]["events"]
    print("the whole model" if "attributes" in event["model"] else f"a reference, {event['model']}")
    one.close()
    two.close()
    await asyncio.sleep(1)  # the server tells its session of both

asyncio.run(asyncio.wait_for(main(), 30))
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release" tornado==6.6.1
    echo "bokeh $release: $("$python" show.py)"
done | tee "$work/seen"
printf "bokeh 3.9.2: the whole model\nbokeh 3.10.2: a reference, {'id': 'from-the-first'}\n" | cmp - "$work/seen"
