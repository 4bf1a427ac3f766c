from pathlib import Path

import panel as pn
import param
from bokeh.embed.bundle import extension_dirs
from panel.custom import JSComponent

HERE = Path(__file__).parent
extension_dirs[f"{HERE.name}-files"] = HERE / "files"
"""As packages of components do (panel_material_ui), whose name says nothing of where they are."""


class Counter(JSComponent):
    value = param.Integer(default=0)
    _bundle = HERE / "counter.bundle.js"
    _stylesheets = [HERE / "counter.css"]


class House(pn.template.BootstrapTemplate):
    """A template with the house's own style sheet."""

    _css = [*pn.template.BootstrapTemplate._css, HERE / "house.css"]
