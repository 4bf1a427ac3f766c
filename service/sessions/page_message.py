"""Messages for the user of a page that shows a session, beside the session's Document.

They reach any page, whoever made it, as a change of its Document: a root without a view, whose JavaScript
shows them. The server's Document knows nothing of it, and what a page tells of it is dropped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from service.documents.encoding import PAGE_MESSAGE_ROOT
from service.protocol import messages
from service.protocol.messages import Frames

__all__ = (
    "PageMessage", "callback_failed", "callbacks_lost", "coming_back", "frames_before", "frames_of",
    "is_back", "logged_out",
)  # fmt: skip

_SHOW = Path(__file__).with_name("page_message.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class PageMessage:
    """A later one of a kind takes the place of an earlier one."""

    kind: str
    title: str
    """Empty to take away the one before."""
    text: str = ""
    reload: str = ""
    """What the button says that loads the page again; empty for none."""


def callbacks_lost() -> PageMessage:
    """After a move: what the page shows is right, but not all of it is alive."""
    return PageMessage(
        "callbacks-lost",
        "Some controls of this page no longer work.",
        "The server was replaced while you used the page. What you see is what was there, but what was added "
        "to the page later may not answer any more. Reload it to start afresh.",
        reload="Reload",
    )


def coming_back() -> PageMessage:
    """What the user did waits for the session: what the page shows came without it."""
    return PageMessage("coming-back", "One moment: the server is taking up your session again.")


def is_back() -> PageMessage:
    """It does not wait any more."""
    return PageMessage("coming-back", "")


def logged_out() -> PageMessage:
    """In another tab of the same browser."""
    return PageMessage(
        "logged-out",
        "You have logged out.",
        "What this page shows is as it was before. Load it again to log in.",
        reload="Log in",
    )


def callback_failed(traceback: str) -> PageMessage:
    """For an app's author only."""
    return PageMessage("callback-failed", "A callback failed.", traceback)


def frames_of(message: PageMessage) -> Frames:
    """A PATCH-DOC that shows it."""
    change = {
        "kind": "ModelChanged",
        "model": {"id": PAGE_MESSAGE_ROOT},
        "attr": "tags",
        "new": [json.dumps(asdict(message))],
    }
    return messages.patch_doc(json.dumps({"events": [change]}))


def frames_before() -> Frames:
    """A PATCH-DOC that makes a page able to show messages, after each of its pulls."""
    return messages.patch_doc(json.dumps({"events": [{"kind": "RootAdded", "model": _root()}]}))


def _root() -> object:
    """As ``Serializer`` writes it (bokeh 3.9 and 3.10): made by hand, so that its ids are of no session."""
    show = {
        "type": "object", "name": "CustomJS", "id": f"{PAGE_MESSAGE_ROOT}-js", "attributes": {"code": _SHOW},
    }  # fmt: skip
    callbacks = {"type": "map", "entries": [["change:tags", [show]]]}
    attributes = {"js_property_callbacks": callbacks}
    return {"type": "object", "name": "Selection", "id": PAGE_MESSAGE_ROOT, "attributes": attributes}
