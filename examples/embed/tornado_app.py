"""A Tornado app whose page embeds a Bokeh app that runs on the same loop.

    python examples/embed/tornado_app.py [--port PORT]
"""

import argparse

from bokeh.embed import server_document
from program import powers
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from service import Server

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Tornado</title></head>
<body><h1>A page of Tornado's</h1>{script}</body></html>"""


class IndexHandler(RequestHandler):
    def initialize(self, bokeh_url):
        self.bokeh_url = bokeh_url

    def get(self):
        self.finish(PAGE.format(script=server_document(self.bokeh_url)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port

    # Another port is another origin: the server has to be told whose pages may connect.
    server = Server({"/powers": powers}, io_loop=IOLoop.current(), port=0, address="localhost",
                    allow_websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}"])
    server.start()
    pages = Application([("/", IndexHandler, {"bokeh_url": f"http://localhost:{server.port}/powers"})])
    pages.listen(port, "127.0.0.1")
    print(f"the page is at http://127.0.0.1:{port}/", flush=True)
    IOLoop.current().start()
