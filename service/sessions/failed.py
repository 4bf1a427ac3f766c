"""Stands in for a session whose app failed: shows a Document that says so, and nothing else.

The page is there already when the app runs, so the page's own pull is what can carry the news.
"""

from __future__ import annotations

import html

from bokeh.document import Document
from bokeh.models.widgets import Div

from service.documents.encoding import encode_document
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frame
from service.sessions.connection import Transport

__all__ = ("FailedConnection",)


class FailedConnection:
    """Answers pulls with the error and refuses everything else. Belongs to no session."""

    def __init__(self, transport: Transport, detail: str = "") -> None:
        self._transport = transport
        self._detail = detail
        self._assembler = Assembler()

    def open(self) -> None:
        self._transport.send(messages.ack())

    async def receive(self, frame: Frame) -> None:
        """Take one frame. Raises ProtocolError as a real connection does."""
        message = self._assembler.feed(frame)
        if message is None:
            return
        if message.msgtype == "PULL-DOC-REQ":
            content, buffers = encode_document(self._document(), inline=True)
            self._transport.send(messages.pull_doc_reply(message.msgid, content, buffers))
        else:
            self._transport.send(messages.error(message.msgid, "the app failed while it was starting"))

    async def closed(self) -> None:
        """Nothing to give back."""

    def _document(self) -> Document:
        text = html.escape(self._detail or "Its log says why. Reload the page to try again.")
        document = Document()
        document.title = "The app failed"
        document.add_root(
            Div(
                text=f"<h1>The app failed while it was starting.</h1><pre>{text}</pre>",
                styles={"padding": "1em"},
                sizing_mode="stretch_width",
            )
        )
        return document
