"""Whether a Panel app lets the user of a session in: ``authorize_callback`` (panel 1.9 and 1.10).

``panel serve`` asks in its handlers for pages. Here sessions begin with a page, a script or a socket, on any
replica, so it is asked where they are made: no Document is given to anybody before.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Hashable
from typing import Any

from bokeh.document import Document

from service.apps.when_imported import imported
from service.errors import NotAuthorized

__all__ = ("SessionKeyFunc", "authorize_callback", "check_access", "session_key_func")

log = logging.getLogger(__name__)

Ask = Callable[..., Any]
SessionKeyFunc = Callable[[Any], Hashable]


def authorize_callback() -> Ask | None:
    """The one of the session at work, or else of the process. Must run in the Document's context."""
    module = imported("panel.config")
    found: Ask | None = None if module is None else module.config.authorize_callback
    return found


def check_access(ask: Ask | None, document: Document) -> None:
    """Raises NotAuthorized unless ``ask`` lets the user of the session in. Must run in its context."""
    if ask is None:
        return
    answer = _answer(ask, document)
    if isinstance(answer, str):
        raise NotAuthorized("the app sends this user elsewhere", answer)
    if not answer:
        raise NotAuthorized("You are not authorized to use this application.")


def _answer(ask: Ask, document: Document) -> Any:
    state = sys.modules["panel.io.state"].state
    request: Any = document.session_context.request  # type: ignore[union-attr]
    try:
        arguments = (state.user_info, request.path)[: len(inspect.signature(ask).parameters)]
        answer = ask(*arguments)
    except Exception as error:
        log.exception("authorize_callback failed: access is denied to everybody")
        raise NotAuthorized("It could not be found out whether you may use this application.") from error
    if inspect.isawaitable(answer):  # which would count as yes
        if inspect.iscoroutine(answer):
            answer.close()
        log.error("authorize_callback must not be async: access is denied to everybody")
        return False
    return answer


def session_key_func() -> SessionKeyFunc | None:
    """How the app of the session at work tells requests apart whose pages differ (``--reuse-sessions``).

    None where it asks who may see it: that is found out as its code runs. Must run in the Document's context.
    """
    if authorize_callback() is not None:
        return None
    config: Any = sys.modules["panel.config"].config
    asked: SessionKeyFunc | None = config.session_key_func
    return asked or _by_path_and_theme


def _by_path_and_theme(request: Any) -> Hashable:
    """As Panel does (1.9 and 1.10)."""
    return request.path, tuple(request.arguments.get("theme", ()))
