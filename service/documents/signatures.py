"""Signatures of Bokeh's models are made when somebody asks for them.

Bokeh (3.9, 3.10) makes one for each of its 400 model classes as it is imported, with a text about each of
their 10,000 properties that is thrown away: a fifth of the time that importing Bokeh takes. Who serves apps
hardly ever asks. What is asked for is the same, and a plain :class:`inspect.Signature` from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import Signature
from typing import Any

from bokeh.model.docs import process_example
from bokeh.model.model import Model

from service.documents.released import is_released

__all__ = ("SignatureOnDemand", "made_on_demand")

_PARAMETERS: Any = Signature.__dict__["_parameters"]
_ANNOTATION: Any = Signature.__dict__["_return_annotation"]
"""The two slots that a signature (Python 3.11 to 3.14) has."""


class SignatureOnDemand(Signature):
    """Until it is used, it has a model class instead of an annotation. Then it becomes a plain signature."""

    __slots__ = ()

    def __init__(self, cls: type[Model]) -> None:
        _ANNOTATION.__set__(self, cls)

    def _made(self) -> Signature:
        cls = _ANNOTATION.__get__(self)
        if cls is not Signature.empty:  # else another thread has just made it
            made = Signature([each[0] for each in cls.parameters()])
            _PARAMETERS.__set__(self, _PARAMETERS.__get__(made))
            _ANNOTATION.__set__(self, Signature.empty)
        self.__class__ = Signature  # type: ignore[assignment]
        return self

    # What each of a signature's methods reads.
    _parameters = property(lambda self: self._made()._parameters)
    _return_annotation = property(lambda self: self._made()._return_annotation)

    # And those that look at its class first.

    def replace(self, **changes: Any) -> Any:
        return self._made().replace(**changes)

    __replace__ = replace

    def __eq__(self, other: object) -> bool:
        return self._made() == other

    def __hash__(self) -> int:
        return hash(self._made())

    def __repr__(self) -> str:
        return repr(self._made())

    def __reduce__(self) -> Any:
        return self._made().__reduce__()


@contextmanager
def made_on_demand() -> Iterator[None]:
    """Of the models that are imported inside, where Bokeh makes them as the releases do that were read."""
    original = vars(Model)["__init_subclass__"]
    if not (is_released(original, "__init_subclass__") and is_released(Model.parameters, "parameters")):
        yield
        return
    Model.__init_subclass__ = classmethod(_init_subclass)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Model.__init_subclass__ = original  # type: ignore[method-assign]


def _init_subclass(cls: type[Model]) -> None:
    """As Bokeh's own, but for when it is made."""
    super(Model, cls).__init_subclass__()
    if cls.__module__.startswith("bokeh.models"):
        assert "__init__" in cls.__dict__, str(cls)
        cls.__init__.__signature__ = SignatureOnDemand(cls)  # type: ignore[attr-defined]
        process_example(cls)
