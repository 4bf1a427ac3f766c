"""What apps and programs import from `svc`: all of it says what it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import svc
from service import asgi, fleet


def names() -> Iterator[tuple[str, Any]]:
    for module in (svc, fleet, asgi):
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)


@pytest.mark.parametrize(
    ("name", "public"), list(names()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_it_has_a_docstring_and_so_have_its_methods(name: str, public: Any) -> None:
    assert inspect.getdoc(public), name
    if inspect.isclass(public):
        missing = [
            each for each, member in vars(public).items() if is_public(each, member) and not member.__doc__
        ]
        assert missing == []


def is_public(name: str, member: object) -> bool:
    return not name.startswith("_") and (
        inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
    )
