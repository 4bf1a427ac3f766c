"""What the module of a line of Bokeh provides."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the command line answers without an import of bokeh
    from bokeh.events import Event
    from bokeh.model import Model

__all__ = ("CurrentDocuments", "Line")

CurrentDocuments = ContextVar[tuple[weakref.ReferenceType[Any], ...]]
"""The Documents that ``curdoc()`` stands for, innermost last."""


class Line(Protocol):
    """One line of Bokeh, such as 3.10: every release whose version begins with that."""

    @property
    def VERSION(self) -> tuple[int, int]:  # noqa: N802
        """The line, such as ``(3, 10)``."""

    @property
    def current_documents(self) -> CurrentDocuments:
        """The context variable that ``curdoc()`` reads, once :attr:`install_curdoc` was called."""

    @property
    def install_curdoc(self) -> Callable[[], None]:
        """Make ``curdoc()`` a matter of the context. Idempotent."""

    @property
    def allow_runs_at_once(self) -> Callable[[], None]:
        """Let several threads run apps at once, now that they cannot disturb each other. Idempotent."""

    @property
    def session_hook(self) -> Callable[[Any, str], Callable[..., Any]]:
        """The function to call for a session hook of a handler, such as ``on_session_created``.

        What it returns is awaited if it can be, as often as it takes.
        """

    @property
    def request_hook(self) -> Callable[[Any], Callable[..., Any]]:
        """The function of an ``Application`` that gives what it adds to a request, perhaps awaitable."""

    @property
    def server_request(self) -> Callable[..., Any]:
        """Make what an ``AuthPolicy`` is asked about: the fields of ``bokeh.server.request.ServerRequest``.

        Headers and cookies are given as plain mappings of texts.
        """

    @property
    def event_of_inputs(self) -> Callable[[Model, Collection[str]], Event | None]:
        """The event that BokehJS sends along with changes of these attributes, made of the model's values."""
