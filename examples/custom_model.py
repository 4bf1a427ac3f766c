"""A model with JavaScript of its own: a box that counts the clicks on it."""

from bokeh.core.properties import Int, String
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, UIElement
from bokeh.util.compiler import JavaScript

CODE = """
import {UIElement, UIElementView} from "models/ui/ui_element"
import {div} from "core/dom"

export class ClickBoxView extends UIElementView {
  connect_signals() {
    super.connect_signals()
    this.connect(this.model.change, () => this.render())
  }

  render() {
    super.render()
    const box = div({style: {padding: "1em", border: "1px solid", cursor: "pointer"}})
    box.textContent = `${this.model.label}: ${this.model.clicks}`
    box.onclick = () => { this.model.clicks += 1 }
    this.shadow_el.appendChild(box)
  }
}

export class ClickBox extends UIElement {
  static __name__ = "ClickBox"

  static {
    this.prototype.default_view = ClickBoxView
    this.define(({Int, Str}) => ({clicks: [Int, 0], label: [Str, ""]}))
  }
}
"""


class ClickBox(UIElement):
    __implementation__ = JavaScript(CODE)

    clicks = Int(default=0)
    label = String(default="")


box = ClickBox(label="Clicks", name="box")
seen = Div(text="Python saw none", name="seen")
box.on_change("clicks", lambda attr, old, new: seen.update(text=f"Python saw {new}"))
curdoc().add_root(column(box, seen))
