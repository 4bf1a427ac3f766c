"""A Flask app whose pages embed a Bokeh app that runs in a thread beside it.

    python examples/embed/flask_app.py [--port PORT]

`/` embeds a new session for each view, `/shared` one session for everybody who looks.
"""

import argparse
import asyncio
from threading import Thread

from bokeh.embed import server_document, server_session
from bokeh.util.token import generate_session_id
from flask import Flask, render_template_string
from program import powers
from tornado.ioloop import IOLoop

from service import Server

SECRET = "a demo's secret; make yours with: svc secret"
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Flask</title></head>
<body><h1>A page of Flask's</h1>{{ script|safe }}</body></html>"""

app = Flask(__name__)
shared_id = generate_session_id(secret_key=SECRET.encode(), signed=True)


@app.get("/")
def own():
    return render_template_string(PAGE, script=server_document(app.config["BOKEH_URL"]))


@app.get("/shared")
def shared():
    script = server_session(None, session_id=shared_id, url=app.config["BOKEH_URL"])
    return render_template_string(PAGE, script=script)


def serve_bokeh(server):
    asyncio.set_event_loop(server.io_loop.asyncio_loop)
    server.start()
    server.io_loop.start()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port

    server = Server({"/powers": powers}, io_loop=IOLoop(make_current=False), port=0, address="localhost",
                    secret_key=SECRET, sign_sessions=True,
                    allow_websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}"])
    Thread(target=serve_bokeh, args=(server,), daemon=True).start()
    app.config["BOKEH_URL"] = f"http://localhost:{server.port}/powers"
    app.run(port=port)
