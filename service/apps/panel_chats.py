"""Chats of Panel apps (1.9 and 1.10) after a move: they have their messages, and take the next one.

A question is no input that is repeated: its answer may take long, cost money, or be another one the second
time. So the parts of messages do not count as made by an input, what chats' own widgets hold is not sent once
more, and messages are made anew from what is kept of them (:mod:`service.apps.panel_layouts`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from service.apps.when_imported import imported

__all__ = (
    "go_on",
    "is_answering",
    "is_chat",
    "is_message",
    "is_placeholder",
    "models_of_message",
    "models_of_widgets",
    "parts_of_messages",
)

_MESSAGE = "panel.chat.message"
_FEED = "panel.chat.feed"
_VIEWABLE = "panel.viewable"


def is_message(viewable: Any) -> bool:
    module = imported(_MESSAGE)
    return module is not None and isinstance(viewable, module.ChatMessage)


def is_chat(viewable: Any) -> bool:
    module = imported(_FEED)
    return module is not None and isinstance(viewable, module.ChatFeed)


def is_placeholder(viewable: Any, chats: Iterable[Any]) -> bool:
    """Whether it only says that an answer is under way."""
    return any(viewable is chat._placeholder for chat in chats)


# -- keeping -----------------------------------------------------------------------------------


def models_of_message(viewable: Any, ref: str) -> Iterator[str]:
    """Ids of the models whose change means that a chat message changed."""
    if is_message(viewable):
        for each in (viewable, viewable._object_panel):
            if ref in each._models:
                yield each._models[ref][0].id


def parts_of_messages(viewables: Iterable[tuple[Any, str]], models: set[str]) -> set[str]:
    """Those of ``models`` that belong to chat messages: icons, names, texts; not what the app shows there.

    ``viewables`` are objects, and by which name they know what they are shown in.
    """
    found: set[str] = set()
    for viewable, ref in viewables:
        if is_message(viewable) and ref in viewable._models:
            found |= models & _parts_of(viewable, ref)
            if len(found) == len(models):
                break
    return found


def _parts_of(message: Any, ref: str) -> set[str]:
    content = message._object_panel
    shown = isinstance(message.object, sys.modules[_VIEWABLE].Viewable) and ref in content._models
    kept = _ids_below(content._models[ref][0]) if shown else set()
    return _ids_below(message._models[ref][0]) - kept


def _ids_below(model: Any) -> set[str]:
    return {each.id for each in model.references()}


# -- restoring ---------------------------------------------------------------------------------


def models_of_widgets(chat: Any, ref: str) -> Iterator[str]:
    """Ids of the models in which a chat's user writes or chooses what is sent."""
    for widget in getattr(chat, "_widgets", {}).values():
        if ref in widget._models:
            yield widget._models[ref][0].id


def is_answering(chat: Any) -> bool:
    """Of a chat that was just restored: a repeated input asked it, and it is not over yet."""
    task = chat._callback_task
    return task is not None and not task.done()


def go_on(chat: Any) -> None:
    """The answer that was being given is over: the chat's user may write again."""
    if is_answering(chat):
        chat.stop()
    chat._callback_task = chat._callback_future = None
    chat.param.trigger("disabled")
    buttons = getattr(chat, "_buttons", {})
    if buttons:
        # Panel itself takes a chat that has never answered for one that is answering.
        buttons["send"].visible, buttons["stop"].visible = chat.show_send, False
        chat._reset_button_data()  # what could be reverted is gone
