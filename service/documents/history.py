"""The inputs of a session that made controls with Python callbacks, or took some away.

A journal knows the last value of each attribute. That makes a slider's callbacks run again, but not the click
that added a row. So inputs of that kind are kept, and with each what else clients had set by then: the next
replica repeats them in their order, each with the id counter as it was, and so gets the same models again,
with their callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from inspect import signature
from typing import Any

from bokeh.events import Event

from service.documents.entries import PastInput
from service.documents.values import write_value
from service.documents.wiring import PERIODIC, Input, Message
from store.errors import RecordError
from store.records import Packed

__all__ = ("MAX_BYTES", "MAX_INPUTS", "MAX_STATE_BYTES", "History", "write_event")

MAX_STATE_BYTES = 8 * 1024
"""Of a value of the app's state that is kept for the inputs that find it, instead of the last one."""

MAX_INPUTS = 200
MAX_BYTES = 256 * 1024
"""Of inputs that are kept. What the oldest of more had made loses its callbacks at a move."""


def write_event(event: Event | Message) -> Any:
    """The event, encoded with all that it is made from.

    What classes other than Bokeh's own (3.9 and 3.10) take beside the model is often missing in their
    ``event_values``: Panel's ``ChatMessageEvent`` would come back without its message.
    """
    if isinstance(event, Message):
        return {"message": write_value([event.kind, event.data])[0], "place": list(event.place)}
    encoded, losses = write_value(event)
    if losses:
        return encoded
    names = [name for name in signature(type(event)).parameters if hasattr(event, name)]
    values = {**{name: getattr(event, name) for name in names}, **event.event_values()}
    return {**encoded, "values": write_value(values)[0]}


class History:
    """``there`` says which of some model ids are in the Document."""

    def __init__(self, there: Callable[[str], bool]) -> None:
        self._there = there
        self._entries: dict[int, PastInput] = {}
        self._packed: dict[int, Packed] = {}
        self._count = 0
        self._put: set[int] = set()
        self._removed: set[int] = set()
        self.sequence = 0
        """Of the last value that is in here."""

    @property
    def dirty(self) -> bool:
        return bool(self._put or self._removed)

    def resume(self, entries: Mapping[int, PastInput]) -> None:
        """Go on with what is in the store."""
        self._entries = dict(entries)
        self._packed = {number: entry.pack() for number, entry in entries.items()}
        self._count = max(entries, default=0)
        self._put.clear()
        self._removed.clear()
        sequences = (value[2] for entry in entries.values() for value in entry.values)
        self.sequence = max(sequences, default=0)

    def made(self, models: Iterable[str]) -> bool:
        """Whether one of the models got its callbacks from an input that is in here."""
        wanted = set(models)
        return any(not wanted.isdisjoint(entry.wired) for entry in self._entries.values())

    def changed_state(self, now: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """What of the state is not as the inputs in here have had it."""
        known: dict[str, bytes | None] = {}
        for entry in self._entries.values():
            known.update(entry.state)
        gone = dict.fromkeys(known.keys() - now.keys())
        small = {key: packed for key, packed in now.items() if len(packed) <= MAX_STATE_BYTES}
        return {**{key: packed for key, packed in small.items() if known.get(key) != packed}, **gone}

    def add(self, source: Input, entry: PastInput) -> None:
        """``source`` made something: for the first time, or again, as what it has put off is done."""
        known = self._entries.get(source.number)
        if known is not None:
            entry = PastInput(known.values, known.events, sorted({*known.wired, *entry.wired}), known.state)
            number = source.number
        else:
            self._count += 1
            number = self._count
            self._replace(entry)
        try:
            packed = entry.pack()
        except RecordError:
            return  # what it made then counts as lost at a move
        source.number = number
        self._entries[number], self._packed[number] = entry, packed
        self._put.add(number)
        self._removed.discard(number)
        self.sequence = max([self.sequence, *(value[2] for value in entry.values)])
        self._keep_within_bounds()

    def take(self, *, whole: bool) -> tuple[dict[str, Packed], set[str]]:
        """Fields to put and to remove."""
        numbers: Collection[int] = self._entries if whole else self._put
        put = {f"h:{number:06}": self._packed[number] for number in numbers}
        removed = {f"h:{number:06}" for number in self._removed}
        self._put, self._removed = set(), set()
        return put, removed

    def _replace(self, entry: PastInput) -> None:
        """A value in the place of an earlier one of the same attribute, all of whose models are gone.

        So a slider that is dragged, and whose callback makes new controls each time, is in here once.
        """
        if not entry.place:
            return
        for number, other in list(self._entries.items()):
            if other.place == entry.place and self._is_gone(other):
                again = [value[:2] for value in entry.values]
                entry.values[:0] = [value for value in other.values if value[:2] not in again]
                entry.state = {**other.state, **entry.state}
                self._remove(number)

    def _is_gone(self, entry: PastInput) -> bool:
        models = entry.wired
        return bool(models) and PERIODIC not in models and not any(map(self._there, models))

    def _keep_within_bounds(self) -> None:
        while len(self._entries) > MAX_INPUTS or sum(map(len, self._packed.values())) > MAX_BYTES:
            gone = (number for number, entry in self._entries.items() if self._is_gone(entry))
            number = next(gone, next(iter(self._entries)))
            state = self._entries[number].state
            self._remove(number)
            for after in sorted(each for each in self._entries if each > number)[:1]:
                self._entries[after].state = {**state, **self._entries[after].state}
                self._packed[after] = self._entries[after].pack()
                self._put.add(after)

    def _remove(self, number: int) -> None:
        del self._entries[number], self._packed[number]
        self._put.discard(number)
        self._removed.add(number)
