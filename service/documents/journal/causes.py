"""Which inputs gave models their Python callbacks.

Those inputs are repeated when a session is restored: callbacks are code, which no store can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from service.documents.entries import PastInput, Stored
from service.documents.history import History, write_event
from service.documents.journal.changes import Changes, Objects
from service.documents.journal.marks import Key, Marks
from service.documents.journal.writing import ValueWriter
from service.documents.wiring import PERIODIC, Input, Wire, periodic_wires, wires_of
from store.records import pack_entry

__all__ = ("AS_IT_IS", "Causes")

AS_IT_IS = object()
"""In the place of a value: the one that there is when it is written."""


class Causes:
    """Of one Document. ``state_before`` gives the app's own state as the last input found it."""

    def __init__(
        self,
        document: Document,
        marks: Marks,
        writer: ValueWriter,
        state_before: Callable[[], Mapping[str, bytes]],
    ) -> None:
        self._document = document
        self._marks = marks
        self._writer = writer
        self._state_before = state_before
        self.history = History(lambda model_id: document.models.get_by_id(ID(model_id)) is not None)
        self.makers: dict[Input, set[str]] = {}
        """Inputs that may belong into the history, and the models to which they gave callbacks."""
        self._removers: set[Input] = set()
        """Those that took away what others in the history had made."""
        self.own: set[str] = set()
        """Models that got callbacks of the app's, not of a library."""
        self._inputs_left: dict[Key, Any] = {}
        """What clients had set on models that have left since: an input that is repeated may have used it."""
        self.rewired: set[str] = set()
        """Models whose Python callbacks may have changed."""
        self._wires_at: dict[str, list[Wire]] = {}
        """Of models that inputs gave callbacks: as they were then, as the values around them may change."""
        self._wired: set[str] = set()
        """Those of which the store has the callbacks."""

    def note_wired(self, model_id: str, source: Input | None, *, by_library: bool) -> None:
        """A model got callbacks, or lost some, because of that input."""
        self.rewired.add(model_id)
        if not by_library:
            self.own.add(model_id)
        self._wires_at.pop(model_id, None)
        if source is not None:
            self.makers.setdefault(source, set()).add(model_id)

    def work_ends(self, objects: Objects | None) -> None:
        """Put inputs that made controls into the history, with the values that there are now."""
        makers = dict(self.makers)
        self.makers.clear()
        for maker, wired in makers.items():
            lasting = self._lasting(wired, objects)
            # Without values and events it is the app's own run, which is repeated anyway.
            if (lasting or maker in self._removers) and (maker.values or maker.events):
                self.history.add(maker, self._past(maker, lasting))
            self._wires_at.update((model_id, self._wires(model_id)) for model_id in wired)
        self._removers.clear()
        self.own.clear()

    def models_leave(self, source: Input | None, left: Mapping[str, Model]) -> None:
        """These leave the Document because of that input."""
        if source is not None and self.history.made(left.keys()):
            self.makers.setdefault(source, set())
            self._removers.add(source)
        # For those that may be repeated after them, as a button of a wizard that shows its next page.
        for (model_id, attr), _, _ in self._marks.inputs_since(self.history.sequence):
            if model_id in left:
                self.keep_input(left[model_id], attr)

    def keep_input(self, model: Model, attr: str) -> None:
        """A client has set it, and the model is not in the Document."""
        self._inputs_left[model.id, attr] = self._writer.encoded(model, attr, getattr(model, attr))

    def forget(self, model_id: str) -> None:
        """Nothing is kept of the model."""
        self._wired.discard(model_id)
        for key in [key for key in self._inputs_left if key[0] == model_id and key in self._marks.at]:
            del self._inputs_left[key]

    def all_rewired(self, came: Collection[str]) -> None:
        """All is written whole, with the models that came since the app's run."""
        self.rewired.update(came, self._wired)

    def resume(self, stored: Stored) -> None:
        """Go on with the history and the callbacks in the store."""
        self.history.resume(stored.history)
        self._wired = set(stored.callbacks)
        self.rewired.clear()
        self.makers.clear()
        self._removers.clear()
        self.own.clear()
        self._inputs_left.clear()

    def take(self, changes: Changes) -> None:
        put, removed = self.history.take(whole=changes.whole)
        changes.put.update(put)
        changes.remove |= removed
        rewired = list(self.rewired)
        self.rewired.clear()
        for model_id in rewired:
            now = self._wires(model_id)
            wires = self._wires_at.pop(model_id, now)
            if now and wires:
                changes.put[f"k:{model_id}"] = pack_entry(wires)
                self._wired.add(model_id)
            elif model_id in self._wired:
                self._wired.discard(model_id)
                changes.remove.add(f"k:{model_id}")

    def _lasting(self, wired: set[str], objects: Objects | None) -> set[str]:
        """Those of which nobody but the input that gave them callbacks will do so again."""
        models = self._document.models
        there = {each for each in wired if each in self.own or models.get_by_id(ID(each)) is not None}
        if not there or objects is None:
            return there
        return there - objects.made_anew(self._document, there)

    def _past(self, source: Input, wired: set[str]) -> PastInput:
        own = {sequence for _, _, sequence, _, _ in source.values}
        before = [
            (*key, sequence, ids_before, AS_IT_IS)
            for key, sequence, ids_before in self._marks.inputs_since(self.history.sequence)
            if sequence not in own
        ]
        values = [
            [model_id, attr, sequence, ids_before, value]
            for model_id, attr, sequence, ids_before, given in sorted(
                (*before, *source.values), key=lambda value: value[2]
            )
            if (value := self._input(model_id, attr, given)) is not AS_IT_IS
        ]
        events = [[ids_before, write_event(event)] for ids_before, event in source.events]
        return PastInput(values, events, sorted(wired), self.history.changed_state(self._state_before()))

    def _input(self, model_id: str, attr: str, given: Any) -> Any:
        """What a client has set there, encoded; AS_IT_IS where that is not known any more."""
        model = self._document.models.get_by_id(ID(model_id))
        if model is None:
            return self._inputs_left.get((model_id, attr), AS_IT_IS)
        return self._writer.encoded(model, attr, getattr(model, attr) if given is AS_IT_IS else given)

    def _wires(self, model_id: str) -> list[Wire]:
        if model_id == PERIODIC:
            return periodic_wires(self._document)
        model = self._document.models.get_by_id(ID(model_id))
        return [] if model is None else wires_of(model)
