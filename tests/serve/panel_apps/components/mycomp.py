from pathlib import Path

import panel as pn
import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


class Counter(JSComponent):
    value = param.Integer(default=0)
    _bundle = HERE / "counter.bundle.js"
    _stylesheets = [HERE / "counter.css"]


class House(pn.template.BootstrapTemplate):
    """A template with the house's own style sheet."""

    _css = [*pn.template.BootstrapTemplate._css, HERE / "house.css"]
