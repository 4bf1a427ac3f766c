"""The app `panel_workout` in a template, whose page is made of its Document; each row is a layout."""

from pathlib import Path

import panel as pn

panel_template = True
exec(Path(__file__).with_name("panel_workout.py").read_text())


def row(number):
    return pn.Row(pn.pane.Str(f"row {number}"), pn.widgets.TextInput(name=f"added {number}"))


pn.template.FastListTemplate(title="workout", sidebar=controls, main=shown).servable()  # noqa: F821 - of the other app
