"""The page's address follows a parameter, a click changes much at once and notifies, and there is a modal."""

import panel as pn
import param

pn.extension(notifications=True)


class Chosen(param.Parameterized):
    level = param.Integer(default=1, bounds=(0, 9))


chosen = Chosen()
pn.state.location.sync(chosen, {"level": "level"})
held = pn.pane.Str("held 0")
several = pn.widgets.Button(name="several")


@pn.io.hold()
def change(event):
    for number in range(1, 4):
        held.object = f"held {several.clicks} {number}"
    pn.state.notifications.info(f"noted {several.clicks}", duration=0)


several.on_click(change)
template = pn.template.FastGridTemplate(title="Address")
show = pn.widgets.Button(name="details")
show.on_click(lambda event: template.open_modal())
template.modal.append(pn.pane.Str(pn.bind(lambda level: f"in the modal {level}", chosen.param.level)))
template.main[:3, :6] = pn.Column(chosen.param.level, several, held, show)
template.main[:3, 6:] = pn.pane.Str(pn.bind(lambda level: f"told {level}", chosen.param.level))
template.servable()
