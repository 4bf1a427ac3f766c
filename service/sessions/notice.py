"""Stands in for a session that cannot be had: shows a Document that says why, and nothing else.

The page is there already when its socket is refused, and BokehJS tells its user nothing about a
refused socket. So the page's own pull is what carries the news.
"""

from __future__ import annotations

import html

from bokeh.document import Document
from bokeh.models.callbacks import CustomJS
from bokeh.models.widgets import Button, Div

from service.documents.encoding import encode_document
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frame
from service.sessions.connection import Transport

__all__ = ("Notice", "app_failed", "session_ended", "session_parked")


class Notice:
    """Answers pulls with a notice, drops patches, refuses the rest. Belongs to no session.

    It leaves closing to the client: a page whose socket is closed shows banners over the notice.
    """

    def __init__(self, transport: Transport, title: str, text: str, *, button: str) -> None:
        self._transport = transport
        self._title = title
        self._text = text
        self._button = button
        self._assembler = Assembler()

    def open(self) -> None:
        self._transport.send(messages.ack())

    def receive(self, frame: Frame) -> None:
        """Take one frame. Raises ProtocolError as a real connection does."""
        message = self._assembler.feed(frame)
        if message is None:
            return
        if message.msgtype == "PULL-DOC-REQ":
            content, buffers = encode_document(self._document(), inline=True)
            self._transport.send(messages.pull_doc_reply(message.msgid, content, buffers))
        elif message.msgtype == "PATCH-DOC":  # a page tells its size, whatever it shows
            self._transport.send(messages.ok(message.msgid))
        else:
            self._transport.send(messages.error(message.msgid, self._title))

    async def closed(self) -> None:
        """Nothing to give back."""

    def _document(self) -> Document:
        document = Document()
        document.title = self._title
        # The page need not come back for this, as it would for a session.
        document.config.reconnect_session = False
        text = f"<h1>{html.escape(self._title)}</h1><pre>{html.escape(self._text)}</pre>"
        document.add_root(Div(text=text, styles={"padding": "1em"}, sizing_mode="stretch_width"))
        button = Button(label=self._button, button_type="primary", width=200, margin=(0, 0, 0, 15))
        button.js_on_click(CustomJS(code="window.location.reload()"))
        document.add_root(button)
        return document


def app_failed(transport: Transport, detail: str) -> Notice:
    """The app raised while it built its Document; ``detail`` is for developers' eyes, or empty."""
    return Notice(
        transport,
        "The app failed while it was starting.",
        detail or "Its log says why.",
        button="Try again",
    )


def session_ended(transport: Transport) -> Notice:
    """There is no such session any more, and its token cannot begin it anew."""
    return Notice(
        transport,
        "This session has ended.",
        "Nobody used it for a long time, it was ended by an operator, or the server lost it. "
        "What you had entered is gone.",
        button="Start afresh",
    )


def session_parked(transport: Transport) -> Notice:
    """The session ended the replicas it was on; a reload begins another one."""
    return Notice(
        transport,
        "This session was stopped.",
        "What was done in it ended the server several times, so it is not brought back. "
        "What you had entered is gone.",
        button="Start afresh",
    )
