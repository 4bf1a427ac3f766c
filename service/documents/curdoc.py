"""``curdoc()`` per context instead of per process.

Bokeh 3.9 keeps the documents being modified on a process-global list, which is not even popped when
a callback raises, so an awaiting or failing callback would leave its Document to the next one. Bokeh
3.10 has a context variable of its own, which is used then.
Where there is none, ``curdoc()`` is the process's default Document, which no session may become.
"""

from __future__ import annotations

from contextvars import Context

from bokeh.io.state import curstate

from service.lines import line

__all__ = ("current_documents", "install")

current_documents = line.current_documents


def install() -> None:
    """Make ``curdoc()`` a matter of the context. Idempotent.

    ``curstate`` makes the default Document when it is first called (bokeh 3.9 and 3.10): made now,
    outside all contexts, its models take no ids of a session's.
    """
    Context().run(curstate)
    line.install_curdoc()
