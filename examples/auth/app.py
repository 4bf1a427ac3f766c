"""Greets the user by name, and leads to the way out."""

from html import escape

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, CustomJS, Div

context = curdoc().session_context
logout = Button(label="Log out", name="logout")
logout.js_on_click(CustomJS(args={"url": context.logout_url}, code="window.location.href = url"))
curdoc().add_root(column(Div(text=f"Hello, {escape(context.request.user)}!", name="greeting"), logout))
curdoc().title = "Who am I?"
