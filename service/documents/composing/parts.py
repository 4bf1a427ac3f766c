"""A Document's JSON as a flat table of models, and back.

Bokeh (3.9 and 3.10) writes a model where it first meets it, and references everywhere else; so a model that
moves takes its description along. Taken apart, each is found by its id, wherever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.documents.composing.reasons import Reason
from service.errors import NotComposable

__all__ = ("Nester", "Part", "take_apart")

_NESTED = frozenset({list, dict})
_COMPOUND = frozenset({list, tuple, dict})
"""Bokeh's serializer makes tuples, too, until they are JSON."""


@dataclass(slots=True)
class Part:
    """A model: what pages call its class, and its attributes in Bokeh's encoding, with references only."""

    type: str
    attributes: dict[str, Any] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    """Attributes within which there may be references, or binary data."""

    def set(self, name: str, value: Any) -> None:
        self.attributes[name] = value
        if type(value) in _NESTED:
            self.linked.add(name)
        else:
            self.linked.discard(name)

    def remove(self, name: str) -> None:
        self.attributes.pop(name, None)
        self.linked.discard(name)


def take_apart(value: Any, parts: dict[str, Part]) -> Any:
    """``value`` with references in the place of models, which are put into ``parts``. Changes it in place."""
    return _Taker(parts).flat(value)


class _Taker:
    def __init__(self, parts: dict[str, Part]) -> None:
        self._parts = parts
        self._links = 0
        """References and binary data seen so far."""

    def flat(self, value: Any) -> Any:
        if type(value) is list:
            # Most lists are long and hold plain values: those are looked at once, by types.
            if not _NESTED.isdisjoint(map(type, value)):
                value[:] = [self.flat(item) if type(item) in _NESTED else item for item in value]
            return value
        return self._flat_map(value) if type(value) is dict else value

    def _flat_map(self, value: dict[str, Any]) -> Any:
        kind = value.get("type")
        if kind == "bytes" or (kind is None and "id" in value):
            self._links += 1
            return value
        if kind == "object" and "id" in value:
            self._add(value)
            return {"id": value["id"]}
        for key, item in value.items():
            if type(item) in _NESTED:
                value[key] = self.flat(item)
        return value

    def _add(self, model: dict[str, Any]) -> None:
        part = self._parts[model["id"]] = Part(model["name"], model.get("attributes", {}))
        for name, item in part.attributes.items():
            if type(item) in _NESTED:
                before = self._links
                part.attributes[name] = self.flat(item)
                if self._links > before:
                    part.linked.add(name)
        self._links += 1


class Nester:
    """Puts models where they are first met. ``binary`` gives what stands for binary data.

    Whoever reads it has those that were ``met`` before. Raises NotComposable for references to models that
    are not among ``parts``.
    """

    def __init__(
        self, parts: Mapping[str, Part], binary: Callable[[Any], Any], *, met: Iterable[str] = ()
    ) -> None:
        self._parts = parts
        self._binary = binary
        self._met = set(met)

    def nested(self, value: Any) -> Any:
        if type(value) is list or type(value) is tuple:
            if _COMPOUND.isdisjoint(map(type, value)):
                return value
            return [self.nested(item) for item in value]
        return self._nested_map(value) if type(value) is dict else value

    def _nested_map(self, value: dict[str, Any]) -> Any:
        kind = value.get("type")
        if kind == "bytes":
            return {"type": "bytes", "data": self._binary(value["data"])}
        if kind is None and "id" in value:
            return self._model(value["id"])
        return {key: self.nested(item) for key, item in value.items()}

    def _model(self, model_id: str) -> Any:
        if model_id in self._met:
            return {"id": model_id}
        part = self._parts.get(model_id)
        if part is None:
            raise NotComposable(Reason.DAMAGED, f"it refers to a model that is not in it: {model_id}")
        self._met.add(model_id)
        described: dict[str, Any] = {"type": "object", "name": part.type, "id": model_id}
        if part.attributes:
            linked = part.linked
            described["attributes"] = {
                name: self.nested(item) if name in linked else item for name, item in part.attributes.items()
            }
        return described
