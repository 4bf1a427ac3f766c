"""A counter that outlives its replica: it is kept in the session's state, not in a global of Python."""

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div

try:
    from svc import session_state
except ImportError:  # under `bokeh serve`, where a session does not outlive its process anyway

    def session_state(document):
        return {}


state = session_state(curdoc())
state.setdefault("clicks", 0)

button = Button(label="Count", name="count")
total = Div(text="", name="total")


def show():
    total.text = f"{state['clicks']} clicks"


def count():
    state["clicks"] += 1
    show()


button.on_click(count)
show()
curdoc().add_root(column(button, total, Div(text="", name="news")))
