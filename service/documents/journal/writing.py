"""Values as they are written. One that cannot be is left out, and noted as a loss, instead of failing all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bokeh.model import Model

from service.documents.copies import Copies
from service.documents.entries import Value, WholeModel
from service.documents.losses import Losses, place_of
from service.documents.shape import known_as, type_name
from service.documents.values import lost, reason_of, write_value
from store.errors import RecordError
from store.records import Packed, pack_entry

__all__ = ("ValueWriter",)


class ValueWriter:
    """Notes in ``losses`` what cannot be written."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses

    def encoded(self, model: Model, attr: str, value: Any, copies: Copies | None = None) -> Any:
        """The value of the model's attribute, of which ``copies`` may have arrays already."""
        encoded, losses = write_value(value, copies)
        for column, reason in losses.items():
            self._losses.add(place_of(model, attr, column), reason)
        return encoded

    def value(self, model: Model, attr: str, mark: tuple[int, bool, int], copies: Copies | None) -> Packed:
        """The present value of the attribute that was marked so."""
        encoded = self.encoded(model, attr, getattr(model, attr), copies)
        value = Value(*mark, type_name(model), known_as(model), encoded)
        try:
            return value.pack()
        except RecordError as error:
            value.value = self._lost(model, attr, error)
            return value.pack()

    def whole(self, model: Model) -> Packed:
        """The model with all that was set of it."""
        values = model.properties_with_values(include_defaults=False)
        attributes = {name: self.encoded(model, name, value) for name, value in values.items()}
        try:
            return WholeModel(type_name(model), attributes).pack()
        except RecordError:
            attributes = self.all_packable(model, attributes)
            return WholeModel(type_name(model), attributes).pack()

    def packable(self, model: Model, attr: str, encoded: Any) -> Any:
        """``encoded``, or what stands for a value that is lost."""
        try:
            pack_entry(encoded)
        except RecordError as error:
            return self._lost(model, attr, error)
        return encoded

    def all_packable(self, model: Model, encoded: Mapping[str, Any]) -> dict[str, Any]:
        """The same for several attributes."""
        return {name: self.packable(model, name, item) for name, item in encoded.items()}

    def _lost(self, model: Model, attr: str, error: Exception) -> Any:
        self._losses.add(place_of(model, attr), reason_of(error))
        return lost(reason_of(error))
