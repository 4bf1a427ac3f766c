"""A Tornado app whose page embeds a Bokeh app that runs on the same loop.

    python examples/embed/tornado_app.py [--port PORT] [--bokeh-url URL]

With `--bokeh-url` the app is one that is served elsewhere, say by replicas behind nginx.
"""

import argparse

from bokeh.embed import server_document
from program import powers
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from svc import Server

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Tornado</title></head>
<body><h1>A page of Tornado's</h1>{script}</body></html>"""


class IndexHandler(RequestHandler):
    def initialize(self, bokeh_url):
        self.bokeh_url = bokeh_url

    def get(self):
        self.finish(PAGE.format(script=server_document(self.bokeh_url)))


def serve_on_this_loop(port):
    """Serves `powers` for pages at `port`; the app's URL."""
    # Another port is another origin: the server has to be told whose pages may connect.
    server = Server({"/powers": powers}, io_loop=IOLoop.current(), port=0, address="localhost",
                    allow_websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}"])
    server.start()
    return f"http://localhost:{server.port}/powers"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--bokeh-url", help="an app that is served elsewhere, instead of one on this loop")
    arguments = parser.parse_args()

    bokeh_url = arguments.bokeh_url or serve_on_this_loop(arguments.port)
    pages = Application([("/", IndexHandler, {"bokeh_url": bokeh_url})])
    pages.listen(arguments.port, "127.0.0.1")
    print(f"the page is at http://127.0.0.1:{arguments.port}/", flush=True)
    IOLoop.current().start()
