"""Components with JavaScript of their own, which sets parameters and sends events and messages."""

import panel as pn
import param
from panel.custom import JSComponent
from panel.reactive import ReactiveHTML

pn.extension()


class Plain(JSComponent):
    value = param.Integer(default=0)
    heard = param.Integer(default=0)
    child = pn.custom.Child()
    _esm = """
    export function render({ model, el }) {
      const button = document.createElement("button")
      const show = () => { button.textContent = `plain ${model.value}` }
      button.onclick = () => {
        model.value += 1
        model.send_event("click", new Event("click"))
      }
      model.on("value", show)
      show()
      el.append(button, model.get_child("child"))
    }
    """

    def _handle_click(self, event):
        self.heard += 1


class Asks(JSComponent):
    got = param.String(default="-")
    _esm = """
    export function render({ model, el }) {
      const button = document.createElement("button")
      button.textContent = "ask"
      button.onclick = () => model.send_msg("ping")
      el.append(button)
    }
    """

    def _handle_msg(self, data):
        self.got += data


class Old(ReactiveHTML):
    count = param.Integer(default=0)
    _template = '<button id="up" onclick="${_up}">old ${count}</button>'

    def _up(self, event):
        self.count += 1


plain, asks, old = Plain(child=pn.pane.Str("a child")), Asks(), Old()
said = pn.bind(
    lambda *values: "said " + " ".join(map(str, values)),
    plain.param.value, plain.param.heard, asks.param.got, old.param.count,
)  # fmt: skip
pn.Column(plain, asks, old, pn.pane.Str(said)).servable()
