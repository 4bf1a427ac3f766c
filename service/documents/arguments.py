"""What a function was called with, as a key: a digest that is the same on all replicas."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import blake2b
from pathlib import PurePath
from types import CodeType
from typing import Any

import numpy as np
from bokeh.core.serialization import SerializationError

from service.documents.arrays import array_facts
from service.documents.results import ResultWriter
from store.errors import RecordError
from store.records import pack_entry

__all__ = ("code_digest", "key_of")


def key_of(*parts: Any) -> str:
    """32 digits that stand for values of the types that results have, paths, dataclasses and named tuples.

    Values of different types are different, also 1 and True; dicts and sets have no order. Raises TypeError
    for what says nothing that would be the same on another replica.
    """
    return _digest(list(parts)).hex()


def _digest(value: Any) -> bytes:
    try:
        packed = pack_entry(_KeyWriter().encode(value))
    except RecursionError:
        raise TypeError("it contains itself, or is nested too deeply") from None
    except (SerializationError, RecordError) as error:
        raise TypeError(str(error)) from None
    digest = blake2b(digest_size=16)
    for part in (packed,) if isinstance(packed, bytes) else packed.parts:
        digest.update(part)
    return digest.digest()


class _KeyWriter(ResultWriter):
    """Not to be read again: arrays are there as digests."""

    def encode(self, obj: Any) -> Any:
        if obj is ...:  # also in tuples of a function's code, as for ``array[..., 0]``
            return {"ellipsis": None}
        if isinstance(obj, PurePath):
            return {"path": str(obj)}
        if isinstance(obj, Enum):
            return _of_class(obj, [self.encode(obj.value)])
        if isinstance(obj, tuple) and type(obj) is not tuple and hasattr(obj, "_fields"):
            return _of_class(obj, [self.encode(each) for each in obj])
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            values = [self.encode(getattr(obj, field.name)) for field in dataclasses.fields(obj)]
            return _of_class(obj, values)
        return super().encode(obj)

    def _encode_dict(self, obj: dict[Any, Any]) -> Any:
        pairs = [(_digest(key), self.encode(value)) for key, value in obj.items()]
        return {"type": "map", "entries": sorted(pairs, key=lambda pair: pair[0])}

    def _encode_set(self, obj: set[Any]) -> Any:
        return {"type": "set", "entries": sorted(_digest(each) for each in obj)}

    def _encode_exactly(self, obj: Any) -> Any:
        if type(obj) is frozenset:
            return {"type": "frozenset", "entries": sorted(_digest(each) for each in obj)}
        return super()._encode_exactly(obj)

    def _encode_ndarray(self, obj: np.ndarray[Any, Any]) -> Any:
        if type(obj) is not np.ndarray or obj.dtype.hasobject or obj.dtype.kind == "T":
            return super()._encode_ndarray(obj)
        content = np.ascontiguousarray(obj).reshape(-1).view(np.uint8).data if obj.size else b""
        digest = blake2b(content, digest_size=16).digest()
        return {"svc": "array", "value": digest, **array_facts(obj)}


def _of_class(obj: Any, values: list[Any]) -> dict[str, Any]:
    module = type(obj).__module__
    # A session's script has another name in each run (bokeh 3.9 and 3.10).
    if module.startswith("bokeh_app_"):
        module = ""
    return {"class": f"{module}.{type(obj).__qualname__}", "values": values}


# -- code ------------------------------------------------------------------------------------


def code_digest(func: Callable[..., Any], closed_over: Mapping[str, Any]) -> str:
    """Another one when the function's own code is another, by this version of Python.

    What it calls is not looked into. ``closed_over`` is what it has of the function around it. Raises
    TypeError where that cannot be part of a key.
    """
    code = getattr(func, "__code__", None)
    if not isinstance(code, CodeType):
        raise TypeError(f"{func!r} is not written in Python: give it a version=")
    values = {name: _closed_over(name, value) for name, value in closed_over.items()}
    return key_of(list(sys.version_info[:2]), _facts(code), values)


def _closed_over(name: str, value: Any) -> Any:
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        return _facts(code)
    try:
        return key_of(value)
    except TypeError as error:
        raise TypeError(f"it uses {name!r} of the function around it: {error}; make it an argument") from None


def _facts(code: CodeType) -> list[Any]:
    constants = [_facts(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    names = [code.co_names, code.co_varnames, code.co_freevars]
    return [code.co_code, constants, names, code.co_argcount, code.co_flags, code.co_exceptiontable]
