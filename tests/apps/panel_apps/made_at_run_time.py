"""Widgets that clicks append, tabs that are drawn when they are chosen, a function that returns widgets."""

import panel as pn

pn.extension()

said = pn.pane.HTML("nothing yet")
made = pn.Column()
number = pn.widgets.IntSlider(name="number", start=0, end=5, value=0)
add = pn.widgets.Button(name="add")


def say(name):
    said.object = f"said {name}"


def append(event):
    name = f"button {len(made) + 1}"
    made.append(pn.widgets.Button(name=name, on_click=lambda event: say(name)))


def buttons(count):
    return pn.Column(*(button_of(f"bound {n}") for n in range(1, count + 1)))


def button_of(name):
    return pn.widgets.Button(name=name, on_click=lambda event: say(name))


add.on_click(append)
tabs = pn.Tabs(("first", pn.pane.HTML("the first tab")), ("second", button_of("in a tab")), dynamic=True)
pn.Column(add, number, said, made, pn.bind(buttons, number), tabs).servable()
