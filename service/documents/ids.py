"""Deterministic model ids: the same app code gives the same ids on any replica.

While code of a session runs, its :class:`IdSpace` is current, and each new model takes its id
from there instead of from Bokeh's process-wide counter.
"""

from __future__ import annotations

from contextvars import ContextVar
from hashlib import blake2b
from typing import Any

import bokeh.model.model as bokeh_model
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model
from bokeh.util.serialization import make_id as bokeh_make_id

__all__ = ("IdSpace", "current_ids", "install", "new_document")

bokeh_new = Model.__new__


class IdSpace:
    """Model ids ``p<8 hex digits of the session>-<n>``, counted from 1.

    Two sessions of one process never share an id space, so ids stay unique within a process as
    libraries such as Panel expect.
    """

    __slots__ = ("count", "prefix", "tracked")

    def __init__(self, session: str, count: int = 0) -> None:
        digest = blake2b(session.encode(), digest_size=4).hexdigest()
        self.prefix = f"p{digest}-"
        self.count = count
        self.tracked: dict[str, Any] | None = None
        """When a dict, new models are added to it by id."""

    def number(self, model_id: str) -> int:
        """Which number a model id of this space has; 0 if it is no id of this space."""
        if not model_id.startswith(self.prefix):
            return 0
        rest = model_id.removeprefix(self.prefix)
        return int(rest) if rest.isdecimal() else 0

    def make(self) -> ID:
        self.count += 1
        return ID(f"{self.prefix}{self.count}")


current_ids: ContextVar[IdSpace | None] = ContextVar("current_ids", default=None)


def make_id() -> ID:
    ids = current_ids.get()
    return bokeh_make_id() if ids is None else ids.make()


def new_document(ids: IdSpace) -> Document:
    """An empty Document whose own models (its config) have ids of ``ids``, too."""
    token = current_ids.set(ids)
    try:
        return Document()
    finally:
        current_ids.reset(token)


def tracking_new(cls: type[Model], *args: Any, id: ID | None = None, **kwargs: Any) -> Model:  # noqa: A002
    model: Model = bokeh_new(cls, *args, id=id, **kwargs)
    ids = current_ids.get()
    if ids is not None and ids.tracked is not None:
        ids.tracked[model.id] = model
    return model


def install() -> None:
    """Route new models through the current id space. Idempotent.

    bokeh 3.9: ``Model.__new__`` looks up ``make_id`` in its own module each time it is called,
    and nothing else in that module uses it. Each model is made through ``Model.__new__``.
    """
    bokeh_model.make_id = make_id  # type: ignore[attr-defined]
    Model.__new__ = tracking_new  # type: ignore[assignment, method-assign]
