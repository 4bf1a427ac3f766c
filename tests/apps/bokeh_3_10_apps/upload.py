"""Reads the file that was chosen, all of it in one event, and keeps its lines in Python."""

from base64 import b64decode

from bokeh.events import FileInputChange
from bokeh.io import curdoc
from bokeh.models import Button, Div, FileInput

lines = []
upload, said, button = FileInput(name="upload"), Div(name="said"), Button(name="count")


def read(event):
    lines[:] = b64decode(event.value).decode().splitlines()
    said.text = f"{event.filename} ({event.mime_type}) is of {event.model.name}"


def count():
    said.text = f"{len(lines)} lines of {upload.filename}"


upload.on_event(FileInputChange, read)
button.on_click(count)
curdoc().add_root(upload)
curdoc().add_root(button)
curdoc().add_root(said)
