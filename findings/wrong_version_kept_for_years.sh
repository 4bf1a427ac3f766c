#!/bin/sh
# bokeh 3.10.2 with tornado 6.6.1: BokehJS is asked for as bokeh.min.js?v=HASH, and the server lets a browser keep the
# answer for ten years whatever ?v= says, also for the hash of another release. Where servers of two releases stand
# behind one balancer (a rolling update), a page of one gets the file of the other, and keeps it under the wrong name
# long after the update. Seen: the same bytes and "max-age=315360000" for two hashes that no release has.
. "$(dirname "$0")/lib.sh"
environment bokeh==3.10.2 tornado==6.6.1
cat > show.py <<'PY'
import asyncio
import urllib.request
from threading import Event, Thread

from bokeh.application import Application
from bokeh.server.server import Server

ready, ports = Event(), []

def serve():
    asyncio.set_event_loop(asyncio.new_event_loop())
    server = Server({"/": Application()}, port=0)
    ports.append(server.port)
    ready.set()
    server.io_loop.start()

Thread(target=serve, daemon=True).start()
ready.wait(30)
answers = []
for version in ("0" * 64, "f" * 64):
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/static/js/bokeh.min.js?v={version}") as answer:
        answers.append((answer.read(), answer.headers["Cache-Control"]))
print("the same file:", answers[0][0] == answers[1][0])
print("Cache-Control:", {control for _, control in answers})
PY
"$python" show.py | tee seen
printf "the same file: True\nCache-Control: {'max-age=315360000'}\n" | cmp - seen
