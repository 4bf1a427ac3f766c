"""Which attributes of models were set since the app's run, in what order and by whom, and which are due."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from service.documents.copies import Copies
from service.documents.entries import Value

__all__ = ("Key", "Marks")

Key = tuple[str, str]
"""A model's id, and the name of one of its attributes."""


class Marks:
    """None of its collections is ever another object: whoever marks often holds them."""

    __slots__ = ("at", "chunks", "due", "sequence", "shown")

    def __init__(self) -> None:
        self.sequence = 0
        """Of the last change."""
        self.at: dict[Key, tuple[int, bool, int]] = {}
        """Of each that was ever set: sequence, whether a client did it, how many ids there were before."""
        self.due: set[Key] = set()
        """Those that the store lacks."""
        self.shown: dict[Key, Copies] = {}
        """What clients were sent of values that are due; held until they are taken or work begins anew."""
        self.chunks: dict[str, list[Any]] = {}
        """Rows by model id that are due, where whole columns are not."""

    def mark(self, model_id: str, attr: str, is_input: bool, ids_before: int) -> int:
        """It was set; returns the change's sequence."""
        self.sequence = sequence = self.sequence + 1
        self.at[model_id, attr] = sequence, is_input, ids_before
        self.due.add((model_id, attr))
        self.shown.pop((model_id, attr), None)
        if attr == "data":
            self.chunks.pop(model_id, None)
        return sequence

    def set_past_setters(self, model_id: str, attributes: Collection[str]) -> None:
        """These may have been set without an event."""
        at, due, mark = self.at, self.due, (self.sequence, False, 0)
        for attr in attributes:
            at.setdefault((model_id, attr), mark)
            due.add((model_id, attr))

    def all_due(self) -> None:
        """As where the store may have nothing."""
        self.due.clear()
        self.due.update(self.at)

    def inputs_since(self, sequence: int) -> Iterator[tuple[Key, int, int]]:
        """What clients have set after that change, each with its own sequence and how many ids there were."""
        for key, (number, is_input, ids_before) in self.at.items():
            if is_input and number > sequence:
                yield key, number, ids_before

    def forget(self, model_id: str) -> None:
        for key in [key for key in self.at if key[0] == model_id]:
            del self.at[key]
            self.due.discard(key)
        self.chunks.pop(model_id, None)

    def begin_with(self, inputs: Mapping[Key, Value]) -> None:
        """Clients had set these, in what the Document was restored from in part."""
        for key, value in sorted(inputs.items(), key=lambda item: item[1].sequence):
            self.sequence += 1
            self.at[key] = self.sequence, True, value.ids_before

    def resume(self, values: Mapping[Key, Value], sequence: int) -> None:
        """As they were when ``values`` were written, with nothing due, or later: at ``sequence``."""
        self.at.clear()
        self.at.update((key, (v.sequence, v.is_input, v.ids_before)) for key, v in values.items())
        self.sequence = max([sequence, *(value.sequence for value in values.values())])
        self.due.clear()
        self.chunks.clear()
