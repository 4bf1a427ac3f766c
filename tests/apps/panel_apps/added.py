"""What users add to the page by buttons: rows, tabs, messages; and how often they clicked."""

import panel as pn

pn.extension()
rows = pn.Column(pn.pane.Str("row 0"), name="rows")
tabs = pn.Tabs(("first", pn.pane.Str("tab 0")), name="tabs")
feed = pn.chat.ChatFeed(height=300)
log = pn.pane.Str("log", name="log")


def add_row(event):
    rows.append(
        pn.Row(pn.pane.Markdown(f"row {event.new}", margin=(1, 2)), pn.widgets.TextInput(name="entry"))
    )


def add_tab(event):
    tabs.append((f"title {event.new}", pn.pane.Str(f"tab {event.new}")))


def add_message(event):
    message = feed.stream(f"message {event.new}", user="ada")
    feed.stream(" and more", message=message)


def say(event):
    texts = [row[0].object.strip() if isinstance(row, pn.Row) else row.object for row in rows]
    said = [message.object for message in feed.objects]
    entries = [row[1].value for row in rows if isinstance(row, pn.Row)]
    log.object = f"log {event.new}: {texts} {list(tabs._names)} {said} {entries}"


buttons = {name: pn.widgets.Button(name=name) for name in ("row", "tab", "message", "say")}
for name, handle in (("row", add_row), ("tab", add_tab), ("message", add_message), ("say", say)):
    buttons[name].on_click(handle)
pn.Column(*buttons.values(), rows, tabs, feed, log).servable()
