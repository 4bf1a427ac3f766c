"""Threads change the Document through Bokeh's locked callbacks, also after its end."""

import threading

from bokeh.io import curdoc
from bokeh.models import Button, Div

doc = curdoc()
every, latest, late = (Div(name=name, tags=[]) for name in ("every", "latest", "late"))
begin = Button(name="begin")
gate = threading.Event()


@doc.locked_callback
def add(number):
    assert curdoc() is doc
    every.tags = [*every.tags, number]


@doc.locked_callback(policy="latest")
def show(number):
    latest.tags = [*latest.tags, number]


@doc.locked_callback
async def later(number):
    late.tags = [*late.tags, number]


def work():
    for number in range(100):
        add(number)
        show(number)
        later(number)


def outlive(gate, *calls):
    gate.wait()
    for call in calls:
        call(0)
    states = ["closed" if each.closed and not each.pending else "open" for each in calls]
    print("called after the end:", ", ".join(states), flush=True)


def start():
    threading.Thread(target=work, daemon=True).start()
    # With all it needs: when a session ends its modules are emptied.
    threading.Thread(target=outlive, args=(gate, add, show, later), daemon=True).start()


def ended(session_context):
    gate.set()


begin.on_click(start)
doc.on_session_destroyed(ended)
for root in (begin, every, latest, late):
    doc.add_root(root)
