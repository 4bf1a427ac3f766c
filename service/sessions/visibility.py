"""Having a page say whether anybody can see it: BokehJS (3.9 and 3.10) does not.

As with messages of a page (:mod:`service.sessions.page_message`), a root without a view, of which the
server's Document knows nothing, brings the JavaScript. It goes again at once: with such a root BokehJS would
never call the Document idle, nor tell the app that its page is drawn.
"""

from __future__ import annotations

import json
from typing import Any

from service.protocol import messages
from service.protocol.messages import Frames, Message

__all__ = ("frames_that_ask", "hidden_in")

_ROOT = "svc-page-visibility"

_EVENT = "svc_page_visibility"

# What an event has to have (bokehjs 3.9 and 3.10), to be sent to the server like those of the Document's own.
_TELL = f"""
const page = cb_obj.document
const tell = () => page.event_manager.send_event(
  {{event_name: "{_EVENT}", publish: true, hidden: document.hidden}})
page.svc_visibility?.abort()
page.svc_visibility = new AbortController()
document.addEventListener("visibilitychange", tell, {{signal: page.svc_visibility.signal}})
setTimeout(tell)  // what comes from the server is being applied
"""


def frames_that_ask() -> Frames:
    """A PATCH-DOC on which a page tells whether it is hidden, now and whenever that changes."""
    model = {"id": _ROOT}
    events = [
        {"kind": "RootAdded", "model": _root()},
        {"kind": "ModelChanged", "model": model, "attr": "tags", "new": ["asked"]},
        {"kind": "RootRemoved", "model": model},
    ]
    return messages.patch_doc(json.dumps({"events": events}))


def hidden_in(message: Message) -> bool | None:
    """Whether the page is hidden, if that is what the message says; None if it says something else."""
    match message.content.get("events"):
        case [
            {"kind": "MessageSent", "msg_data": {"entries": [["event_name", event], _, ["hidden", hidden]]}}
        ]:
            return hidden is True if event == _EVENT else None
    return None


def _root() -> Any:
    """As ``Serializer`` writes it (bokeh 3.9 and 3.10)."""
    tell = {"type": "object", "name": "CustomJS", "id": f"{_ROOT}-js", "attributes": {"code": _TELL}}
    callbacks = {"type": "map", "entries": [["change:tags", [tell]]]}
    attributes = {"js_property_callbacks": callbacks}
    return {"type": "object", "name": "Selection", "id": _ROOT, "attributes": attributes}
