"""``curdoc()`` per context instead of per process.

Bokeh keeps the documents being modified on a process-global list, which is not even popped when
a callback raises, so an awaiting or failing callback would leave its Document to the next one.
Where there is none, ``curdoc()`` is the process's default Document, which no session may become.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

import bokeh.io.doc as bokeh_io_doc
from bokeh.io.state import curstate

__all__ = ("current_documents", "default_document_kept", "install")

current_documents: ContextVar[tuple[weakref.ReferenceType[Any], ...]] = ContextVar(
    "current_documents", default=()
)


class ContextStack:
    """The part of ``list`` that ``bokeh.io.doc`` uses, kept in a context variable."""

    def append(self, reference: weakref.ReferenceType[Any]) -> None:
        current_documents.set((*current_documents.get(), reference))

    def pop(self) -> weakref.ReferenceType[Any]:
        *rest, last = current_documents.get()
        current_documents.set(tuple(rest))
        return last

    def clear(self) -> None:
        current_documents.set(())

    def __len__(self) -> int:
        return len(current_documents.get())

    def __getitem__(self, index: int) -> weakref.ReferenceType[Any]:
        return current_documents.get()[index]


def install() -> None:
    """Make ``bokeh.io.doc`` keep its stack in the context. Idempotent.

    bokeh 3.9: ``curdoc`` reads ``_PATCHED_CURDOCS[-1]`` and ``patch_curdoc`` appends and pops
    it, both through the module's global name. ``curstate`` makes the default Document when it is
    first called: made now, outside all contexts, its models take no ids of a session's.
    """
    Context().run(curstate)
    if not isinstance(bokeh_io_doc._PATCHED_CURDOCS, ContextStack):
        bokeh_io_doc._PATCHED_CURDOCS = ContextStack()  # type: ignore[assignment]


@contextmanager
def default_document_kept() -> Iterator[None]:
    """The process's default Document is afterwards what it was before.

    Panel (1.9) ends each run of an app with ``set_curdoc(curdoc())``: the session's Document would
    be that of all code outside of sessions, and stay in memory after its session.
    """
    state = curstate()
    before = state.document
    try:
        yield
    finally:
        state.document = before
