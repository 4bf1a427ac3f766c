"""Widgets of ipywidgets beside those of Panel."""

import ipywidgets
import panel as pn

pn.extension("ipywidgets")

slider = ipywidgets.IntSlider(value=3, min=0, max=100, description="slider")
colour = ipywidgets.Dropdown(options=["red", "green", "blue"], description="colour")
press = ipywidgets.Button(description="press")
box = ipywidgets.VBox([slider, colour, press])
heard = pn.pane.Str("heard", name="heard")
answer = pn.pane.Str("-", name="answer")
note = pn.widgets.TextInput(name="note")


def moved(change):
    heard.object = f"{heard.object} {change['new']}"


def say(event):
    if event.new.startswith("set"):
        slider.value = int(event.new[3:])
    else:
        answer.object = f"{event.new}: {slider.value} {colour.value}"


def add(button):
    box.children = [*box.children, ipywidgets.Text(value="new", description=f"text {len(box.children)}")]


def grow(button):
    """A control of Panel's for a click, and one for each value."""
    number = len(grown)
    control = pn.widgets.Button(name=f"control {number}")
    control.on_click(lambda event: setattr(answer, "object", f"pressed {number}"))
    grown.append(control)


def follow(change):
    control = pn.widgets.Button(name=f"at {change['new']}")
    control.on_click(lambda event: setattr(answer, "object", f"pressed at {change['new']}"))
    followers[:] = [control]


grower, leader = ipywidgets.Button(description="grow"), ipywidgets.IntText(description="leader")
grown, followers = pn.Column(), pn.Column()
grower.on_click(grow)
leader.observe(follow, "value")
slider.observe(moved, "value")
note.param.watch(say, "value")
press.on_click(add)
seen = pn.state.cache.setdefault("seen", [])
seen.append(pn.state.curdoc.session_context.id)
pn.state.on_session_destroyed(lambda context: print(f"session {seen.index(context.id) + 1} has ended"))
print("widgets in this process:", len(ipywidgets.widgets.widget._instances))
pn.Column(
    pn.pane.IPyWidget(box),
    heard,
    answer,
    note,
    pn.bind(lambda colour: f"bound to {colour}", colour),
    pn.pane.IPyWidget(ipywidgets.VBox([grower, leader])),
    grown,
    followers,
).servable()
