"""A Flask app whose pages embed a Bokeh app that runs in a thread beside it.

    python examples/embed/flask_app.py [--port PORT] [--bokeh-url URL]

`/` embeds a new session for each view, `/shared` one session for everybody who looks. With `--bokeh-url` the app is one
that is served elsewhere, say by replicas behind nginx; they and this program then need the same BOKEH_SECRET_KEY.
"""

import argparse
import asyncio
import os
from threading import Thread

from bokeh.embed import server_document, server_session
from bokeh.util.token import generate_session_id
from flask import Flask, render_template_string
from program import powers
from tornado.ioloop import IOLoop

from svc import Server

SECRET = os.environ.get("BOKEH_SECRET_KEY", "a demo's secret; make yours with: svc secret")
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


def serve_beside(port):
    """Serves `powers` from a thread for pages at `port`; the app's URL."""
    server = Server({"/powers": powers}, io_loop=IOLoop(make_current=False), port=0, address="localhost",
                    secret_key=SECRET, sign_sessions=True,
                    allow_websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}"])

    def serve():
        asyncio.set_event_loop(server.io_loop.asyncio_loop)
        server.start()
        server.io_loop.start()

    Thread(target=serve, daemon=True).start()
    return f"http://localhost:{server.port}/powers"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--bokeh-url", help="an app that is served elsewhere, instead of one beside")
    arguments = parser.parse_args()

    app.config["BOKEH_URL"] = arguments.bokeh_url or serve_beside(arguments.port)
    app.run(port=arguments.port)
