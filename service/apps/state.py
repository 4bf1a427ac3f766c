"""State that app code wants to keep with its session: a dict that is journaled.

Python globals and closures are not part of a Document and are lost when a session moves to
another replica; what is in here is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from copy import deepcopy
from typing import Any

from bokeh.document import Document

from store.records import pack_entry

__all__ = ("SessionState", "session_state")


class SessionState(MutableMapping[str, Any]):
    """Text keys; values of None, bool, int, float, str, bytes, and lists and dicts of those.

    Assigning is what is noted: after changing a list in place assign it again.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_by_key = values
        self.changed: Callable[[str], None] = lambda key: None

    def restore(self, values: dict[str, Any]) -> None:
        """Hold exactly ``values``; nobody is told."""
        self.values_by_key.clear()
        self.values_by_key.update(deepcopy(values))

    def __getitem__(self, key: str) -> Any:
        return self.values_by_key[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"keys of the session state are text, not {type(key).__name__}")
        pack_entry(value)
        self.values_by_key[key] = value
        self.changed(key)

    def __delitem__(self, key: str) -> None:
        del self.values_by_key[key]
        self.changed(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)

    def __repr__(self) -> str:
        return f"SessionState({self.values_by_key!r})"


def session_state(document: Document) -> SessionState:
    """The state kept with the session of ``document``, usually ``session_state(curdoc())``.

    Raises RuntimeError when the Document is in no session of this server. Assigning raises
    :class:`store.errors.RecordError` for values that cannot be kept.
    """
    context: Any = document.session_context
    state = getattr(context, "state", None)
    if not isinstance(state, SessionState):
        raise RuntimeError("this Document belongs to no session of svc serve, so no state is kept for it")
    return state
