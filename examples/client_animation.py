"""A program beside the server that makes a document, pushes it there, and moves it.

    svc serve &                           # no app at all: sessions come from clients
    python examples/client_animation.py   # prints where to look
"""

import argparse

import numpy as np
from bokeh.client import push_session
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--url", default="http://localhost:5006/")
parser.add_argument("--steps", type=int, default=2000, help="how often to move")
arguments = parser.parse_args()

angles = np.linspace(0, 8 * np.pi, 400)
radii = np.linspace(0.1, 1, 400)
source = ColumnDataSource({"x": radii * np.cos(angles), "y": radii * np.sin(angles)}, name="spiral")
plot = figure(width=500, height=500, x_range=(-1.1, 1.1), y_range=(-1.1, 1.1))
plot.line("x", "y", source=source)

document = Document()
document.add_root(plot)
session = push_session(document, url=arguments.url)
print(f"watch it at {arguments.url}?bokeh-session-id={session.id}", flush=True)

for step in range(arguments.steps):
    turned = angles + step / 20
    source.data = {"x": radii * np.cos(turned), "y": radii * np.sin(turned)}
    session.force_roundtrip()
session.close()
