"""panel_material_ui: values that Python and users set, and rows that clicks add."""

import panel as pn
import panel_material_ui as pmui

pn.extension()
rows = pmui.Column()
add = pmui.Button(label="add")
add.on_click(lambda event: rows.append(pn.pane.Str(f"row {add.clicks}")))
kind = pmui.RadioButtonGroup(label="kind", options=["tea", "mate"], value="tea")
level = pmui.IntInput(label="level", value=0)
up = pmui.Button(label="up")
up.on_click(lambda event: setattr(level, "value", level.value + 1))
said = pn.bind(lambda kind, level: f"said {kind} {level}", kind, level)
pn.Column(add, up, kind, level, rows, pn.pane.Str(said)).servable()
