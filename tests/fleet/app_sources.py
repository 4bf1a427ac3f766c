"""Apps for the fleet tests: each shows in its Document what it was told about the request."""

from __future__ import annotations

PLAIN = """
import json
from bokeh.io import curdoc
from bokeh.models import Button, ColumnDataSource, Div, Slider

request = curdoc().session_context.request
seen = {
    "arguments": {name: [value.decode() for value in values] for name, values in request.arguments.items()},
    "cookies": dict(request.cookies),
    "header": request.headers.get("X-Who"),
}
slider = Slider(name="slider", start=0, end=100, value=1, step=1)
double = Div(name="double", text="2")
source = ColumnDataSource(name="source", data={"x": [1, 2, 3]})

def update(attr, old, new):
    double.text = str(2 * new)

slider.on_change("value", update)
for root in (Div(name="seen", text=json.dumps(seen)), slider, double, source):
    curdoc().add_root(root)
curdoc().title = "Plain"
"""

TEMPLATED = (
    PLAIN
    + """
who = seen["arguments"].get("who", ["nobody"])[0]
curdoc().template_variables["greeting"] = f"Hello, {who}"
"""
)

TEMPLATE = """\
{% extends base %}
{% block contents %}
<h1>{{ greeting }}</h1>
{{ embed(roots.slider) }}
{{ embed(roots.double) }}
{{ embed(roots.seen) }}
{% endblock %}
"""

SLOW = (
    """
import time

time.sleep(1.5)  # on the event loop, which answers nobody meanwhile
"""
    + PLAIN
)
