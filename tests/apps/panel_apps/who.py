"""What Panel knows of the user, from the first line of the app on."""

import panel as pn

who = pn.state.user, pn.state.user_info and pn.state.user_info["sub"], pn.state.access_token
pn.extension()
again = pn.widgets.TextInput(name="again")
now = pn.pane.Str("-")


def say(event):
    now.object = f"{event.new} {pn.state.user} {pn.state.access_token}"


again.param.watch(say, "value")
pn.Column(pn.pane.Str(f"who: {who}"), again, now).servable()
