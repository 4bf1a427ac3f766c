"""A chat: whoever has the page open sees what anybody says, on whichever replica, once and in one order.

Messages are kept for those whose session moves or sleeps meanwhile. Who comes in gets the last fifty.
"""

from html import escape

from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import Div, TextInput

from svc import fleet

MAX_LINES = 200

lines = Div(name="lines", text="", width=600)
who = TextInput(name="who", title="Your name", value="somebody", width=150)
text = TextInput(name="text", title="Say something", width=440)


def add_line(html):
    lines.text = "\n".join([*lines.text.split("\n"), f"<div>{html}</div>"][-MAX_LINES:])


def show(message):
    add_line(f"<b>{escape(message['who'])}:</b> {escape(message['text'])}")


def show_gap(count):
    add_line(f"<i>({'some' if count is None else count} messages are missing here)</i>")


def say(attr, old, new):
    if new:
        fleet.publish("chat", {"who": who.value, "text": new})
        text.value = ""


text.on_change("value", say)
fleet.subscribe("chat", show, last=50, on_missed=show_gap)

curdoc().add_root(column(lines, row(who, text)))
curdoc().title = "Chat"
