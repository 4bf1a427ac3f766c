"""What the functions for app code (:mod:`service.fleet`) have in common."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.io import curdoc

from service.apps.contexts import AppSessionContext
from service.fleet.store_thread import on_event_loop

__all__ = ("context_of", "is_repeated", "refuse_on_event_loop")


def is_repeated() -> bool:
    """Whether code runs for what a user did before his session came here."""
    context = curdoc().session_context
    return isinstance(context, AppSessionContext) and context.repeating


def context_of(document: Document | None, what: str) -> AppSessionContext:
    """Of the session that ``what`` is for; the one whose code this is if none is given.

    Raises RuntimeError without one.
    """
    context = (document or curdoc()).session_context
    if not isinstance(context, AppSessionContext):
        raise RuntimeError(
            f"{what} belongs to a session: call it in code of one, or give it the session's document"
        )
    return context


def refuse_on_event_loop(instead: str) -> None:
    """Raise RuntimeError where nothing may wait."""
    if on_event_loop():
        raise RuntimeError(
            f"this would keep the event loop, and so all sessions, waiting for Redis: await {instead}(...)"
        )
