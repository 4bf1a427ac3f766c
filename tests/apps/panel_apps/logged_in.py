"""What Panel knows of the user: now, and each time that somebody asks."""

import panel as pn

pn.extension()


def known():
    info = pn.state.user_info or {}
    return f"{pn.state.user} {info.get('email')} {pn.state.access_token} {pn.state.refresh_token}"


again = pn.widgets.TextInput(name="again")
now = pn.pane.Str("-")


def say(event):
    now.object = f"now {event.new} {known()}"


again.param.watch(say, "value")
pn.Column(pn.pane.Str(f"first {known()}"), again, now).servable()
