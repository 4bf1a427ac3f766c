"""State that app code wants to keep with its session: a dict that is journaled.

Python globals and closures are not part of a Document and are lost when a session moves to
another replica; what is in here is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from typing import Any

from bokeh.document import Document

from store.records import Packed, pack_entry, unpack_entry

__all__ = ("SessionState", "session_state")


HIDDEN = "\0"
"""Begins the keys of what this server keeps in there for itself."""


class SessionState(MutableMapping[str, Any]):
    """Text keys; values of None, bool, int, float, str, bytes, and lists and dicts of those.

    Assigning is what is noted: after changing a list in place assign it again.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_by_key = values
        self._packed: dict[str, Packed] = {}
        """As assigned: what is changed in place afterwards is not in there."""
        self._before: dict[str, Packed | None] = {}
        """What the keys that were assigned since :meth:`work_begins` had until then."""
        self.changed: Callable[[str], None] = lambda key: None

    def restore(self, values: dict[str, Any]) -> None:
        """Hold exactly ``values``, beside what is hidden; nobody is told."""
        for key in [key for key in self.values_by_key if not key.startswith(HIDDEN)]:
            del self.values_by_key[key]
        self._packed.clear()
        self.values_by_key.update(deepcopy(values))

    def work_begins(self) -> None:
        """What is there now is what :meth:`before` gives, until the next time."""
        self._before.clear()

    def before(self) -> dict[str, bytes]:
        """The values, packed, as they were when work began."""
        now = {key: self._packed_at(key) for key in self.values_by_key}
        return {key: bytes(packed) for key, packed in {**now, **self._before}.items() if packed is not None}

    def change(self, values: Mapping[str, Packed | None]) -> None:
        """Hold these packed values beside all others, None: no value; nobody is told."""
        for key, packed in values.items():
            if packed is None:
                self.values_by_key.pop(key, None)
            else:
                self.values_by_key[key] = unpack_entry(packed)
        self._packed.clear()

    def _packed_at(self, key: str) -> Packed:
        if key not in self._packed:
            self._packed[key] = pack_entry(self.values_by_key[key])
        return self._packed[key]

    def _keep_before(self, key: str) -> None:
        if key not in self._before:
            self._before[key] = self._packed_at(key) if key in self.values_by_key else None

    def __getitem__(self, key: str) -> Any:
        return self.values_by_key[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"keys of the session state are text, not {type(key).__name__}")
        packed = pack_entry(value)
        self._keep_before(key)
        self.values_by_key[key], self._packed[key] = value, packed
        self.changed(key)

    def __delitem__(self, key: str) -> None:
        if key in self.values_by_key:
            self._keep_before(key)
        del self.values_by_key[key]
        self._packed.pop(key, None)
        self.changed(key)

    def hidden(self, name: str) -> Any:
        """What :meth:`hide` has kept; None where there is nothing."""
        return self.values_by_key.get(HIDDEN + name)

    def hide(self, name: str, value: Any) -> None:
        """Keep something with the session that is none of the app's business; with None: no longer."""
        if value is not None:
            self[HIDDEN + name] = value
        elif HIDDEN + name in self.values_by_key:
            del self[HIDDEN + name]

    def __iter__(self) -> Iterator[str]:
        return (key for key in self.values_by_key if not key.startswith(HIDDEN))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"SessionState({dict(self)!r})"


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
