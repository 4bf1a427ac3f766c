"""Stands in for a session that cannot be had: shows a Document that says why, and nothing else.

The page is there already when its socket is refused, and BokehJS tells its user nothing about a
refused socket. So the page's own pull is what carries the news.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

from bokeh.document import Document
from bokeh.models.callbacks import CustomJS
from bokeh.models.widgets import Button, Div

from service.documents.encoding import encode_document
from service.errors import AppError
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frame
from service.sessions.connection import Transport
from store.contract import SessionKey

__all__ = (
    "UPDATED_ARGUMENT", "Notice", "app_failed", "app_updated", "session_ended", "session_parked"
)  # fmt: skip

UPDATED_ARGUMENT = "svc-updated"
"""Of the address to which :func:`app_updated` sends a page."""

_RELOAD = Path(__file__).with_name("reload.js").read_text(encoding="utf-8")


class Notice:
    """Answers pulls with a notice, drops patches, refuses the rest. Belongs to no session.

    It leaves closing to the client: a page whose socket is closed shows banners over the notice.
    ``on_click`` is what the button does (JavaScript), ``at_once`` what the page does by itself; one that
    ``comes_back`` connects again when its socket is closed.
    """

    def __init__(
        self,
        transport: Transport,
        title: str,
        text: str,
        *,
        button: str,
        on_click: str = "window.location.reload()",
        at_once: str = "",
        comes_back: bool = False,
    ) -> None:
        self._transport = transport
        self._title = title
        self._text = text
        self._button = button
        self._on_click = on_click
        self._at_once = at_once
        self._comes_back = comes_back
        self._assembler = Assembler()

    def open(self) -> None:
        self._transport.send(messages.ack())

    def receive(self, frame: Frame) -> None:
        """Take one frame. Raises ProtocolError as a real connection does."""
        message = self._assembler.feed(frame)
        if message is None:
            return
        if message.msgtype == "PULL-DOC-REQ":
            document = self._document()
            content, buffers = encode_document(document, inline=True)
            self._transport.send(messages.pull_doc_reply(message.msgid, content, buffers))
            if self._at_once:
                self._transport.send(messages.patch_doc(_touch(document)))
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
        document.config.reconnect_session = self._comes_back
        text = f"<h1>{html.escape(self._title)}</h1><pre>{html.escape(self._text)}</pre>"
        shown = Div(text=text, styles={"padding": "1em"}, sizing_mode="stretch_width")
        if self._at_once:
            shown.js_on_change("tags", CustomJS(code=self._at_once))
        document.add_root(shown)
        button = Button(label=self._button, button_type="primary", width=200, margin=(0, 0, 0, 15))
        button.js_on_click(CustomJS(code=self._on_click))
        document.add_root(button)
        return document


def _touch(document: Document) -> str:
    """A change to which the page's code listens: any BokehJS runs that, after any of its pulls."""
    change = {"kind": "ModelChanged", "model": {"id": document.roots[0].id}, "attr": "tags", "new": ["now"]}
    return json.dumps({"events": [change]})


def app_updated(transport: Transport, key: SessionKey, *, embedded: bool) -> Notice:
    """The session goes on with other versions than the page was made with: the page has to be loaded again.

    A page of ours does so by itself, once, and comes back to its session. One that is ``embedded`` is
    somebody else's, who decides which session it shows.
    """
    title = "The app was updated."
    if embedded:
        text = "This part of the page shows it again when the page has been loaded anew."
        return Notice(transport, title, text, button="Load the page anew")
    values = {"session_id": key.session_id, "name": key.short, "argument": UPDATED_ARGUMENT}
    reload = f"const session = {json.dumps(values)}\n{_RELOAD}"
    return Notice(
        transport,
        title,
        "This page is of the version before. It loads again by itself and goes on with what you had entered.",
        button="Load it again",
        on_click=f"{reload}\nload()",
        at_once=f"{reload}\nload_once()",
    )


def app_failed(transport: Transport, error: AppError, *, developing: bool) -> Notice:
    """The app did not build its Document; its author sees the details, until the app is mended."""
    return Notice(
        transport,
        error.told,
        (developing and error.detail) or "Its log says why.",
        button="Try again",
        comes_back=developing,
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


def session_parked(transport: Transport, *, for_memory: bool = False) -> Notice:
    """The session ended the replicas it was on, or takes too much memory; a reload begins another one."""
    why = "What was done in it ended the server several times"
    if for_memory:
        why = "To bring it back takes more memory than one session may have"
    return Notice(
        transport,
        "This session was stopped.",
        f"{why}, so it is not brought back. What you had entered is gone.",
        button="Start afresh",
    )
