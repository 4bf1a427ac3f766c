"""The server inside a script: functions and Application objects instead of files.

    python examples/embed/program.py [--port PORT] [--redis URL]
"""

import argparse

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Slider
from bokeh.plotting import figure

from svc import Server


def powers(doc):
    x = [each / 10 for each in range(31)]
    source = ColumnDataSource({"x": x, "y": x}, name="curve")
    plot = figure(height=300, title="Powers of x")
    plot.line("x", "y", source=source)
    exponent = Slider(start=0, end=4, step=0.5, value=1, title="Exponent", name="exponent")

    def update(attr, old, new):
        source.data = {"x": x, "y": [each**new for each in x]}

    exponent.on_change("value", update)
    doc.add_root(column(exponent, plot))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=5006)
    parser.add_argument("--redis")
    arguments = parser.parse_args()

    applications = {"/powers": powers, "/again": Application(FunctionHandler(powers))}
    server = Server(applications, port=arguments.port, redis=arguments.redis)
    print(f"serving at {server.url}powers", flush=True)
    server.run_until_shutdown()
