"""The fields that a journal is taken as, and what it is told by objects behind models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bokeh.document import Document
from bokeh.model import Model

from store.records import Packed

__all__ = ("Changes", "Objects", "Outline")


class Objects(Protocol):
    """The objects (Panel's) behind models."""

    def patched(self, source: Model, patches: Mapping[str, Iterable[Any]]) -> None:
        """A client changes single values of a data source."""

    def received(self, document: Document, kind: str, data: Any) -> Iterable[str]:
        """A client sends a message of that type; ids of the models that are concerned."""

    def sent(self, document: Document, kind: str, data: Any) -> Iterable[str]:
        """Clients are sent a message of that type; ids of the models that are concerned."""

    def read(self, document: Document, changed: Mapping[str, set[str]]) -> Mapping[str, Mapping[str, Any]]:
        """What is to be kept by model id, for models that changed: these of their attributes ever did."""

    def clicks(self, model: Model) -> object:
        """What the object behind a model has counted; None where nothing counts."""

    def made_anew(self, document: Document, models: set[str]) -> set[str]:
        """Those of ``models`` that come back without the input that made them."""


@dataclass(slots=True)
class Changes:
    """Fields to put into the stored journal and to remove from it."""

    put: dict[str, Packed] = field(default_factory=dict)
    remove: set[str] = field(default_factory=set)
    whole: bool = False
    """The fields replace all there were."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a Document is besides its models."""

    title: str
    roots: list[str]
    theme: Any

    @classmethod
    def of(cls, document: Document) -> Outline:
        return cls(document.title, [root.id for root in document.roots], document.theme)
