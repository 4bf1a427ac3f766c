"""The widgets of ipywidgets as a page has them: by messages of comms within those of Bokeh's protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from harness.client import Client

_numbers = count(1)


class JupyterPage:
    """What ``ipywidgets_bokeh`` 1.8 does in a page: states from the models, then changes from messages."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._since = 0
        self._states: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """As after a pull: models of the page go on with the ids they have."""
        self._since = len(self._client.received)
        for model in self._client.document.models:
            bundle = getattr(model, "bundle", None) or {"state": {"state": {}}}
            self._states.update({id_: dict(each["state"]) for id_, each in bundle["state"]["state"].items()})

    @property
    def states(self) -> Mapping[str, Mapping[str, Any]]:
        """By comm, as the page shows them now."""
        news, self._since = self._client.received[self._since :], len(self._client.received)
        for received in news:
            if received.kind == "PATCH-DOC":
                for event in received.message.content["events"]:
                    if event.get("msg_type") == "ipywidgets_bokeh":
                        self._take(json.loads(event["msg_data"]))
        return self._states

    def _take(self, message: Mapping[str, Any]) -> None:
        content = message["content"]
        match message["header"]["msg_type"]:
            case "comm_open":
                self._states[content["comm_id"]] = dict(content["data"]["state"])
            case "comm_msg" if content["data"]["method"] in ("update", "echo_update"):
                self._states[content["comm_id"]].update(content["data"]["state"])

    def find(self, description: str) -> str:
        """The comm of the one widget that is described so."""
        (found,) = [id_ for id_, each in self.states.items() if each.get("description") == description]
        return found

    def shows(self, description: str) -> Mapping[str, Any]:
        return self.states[self.find(description)]

    async def set(self, description: str, **state: Any) -> None:
        """As when a user drags a slider."""
        comm = self.find(description)
        self._states[comm].update(state)
        await self._send(comm, {"method": "update", "state": state, "buffer_paths": []})

    async def click(self, description: str) -> None:
        await self._send(self.find(description), {"method": "custom", "content": {"event": "click"}})

    async def _send(self, comm: str, data: Mapping[str, Any]) -> None:
        number = f"page-{next(_numbers)}"
        header = {
            "date": "2026-11-28T10:00:00.000Z", "msg_id": number, "msg_type": "comm_msg",
            "session": "page", "username": "", "version": "5.2",
        }  # fmt: skip
        message = {
            "buffers": [], "channel": "shell", "content": {"comm_id": comm, "data": data},
            "header": header, "metadata": {}, "parent_header": {},
        }  # fmt: skip
        await self._client.patch_json(
            {"kind": "MessageSent", "msg_type": "ipywidgets_bokeh", "msg_data": json.dumps(message)}
        )
