"""Starting servers as if one of their flags were not there: `pytest --ignoring=FLAG`.

A test of a flag is worth something if it fails then; `make flags` looks whether each does.
"""

from __future__ import annotations

import ast
import os
import subprocess
from argparse import REMAINDER
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bokeh.command.subcommands.serve import Serve

FLAGS = {str(name): argument for name, argument in Serve.args if str(name).startswith("--")}
"""The flags of `bokeh serve`, with what argparse is told of them."""


def without(argv: Sequence[Any], flag: str) -> list[Any]:
    """`argv` without that flag and its values, wherever it is."""
    rest, left = list(argv), []
    while rest:
        left.append(rest.pop(0))
        if os.fspath(left[-1]) == flag:
            left.pop()
            del rest[: _count_values(rest, flag)]
    return left


def ignore(flag: str) -> None:
    """From here on, `serve` processes that this one starts do not get the flag."""
    start: Any = subprocess.Popen.__init__

    def start_without(self: Any, argv: Any, *args: Any, **kwargs: Any) -> None:
        start(self, without(argv, flag) if "serve" in argv else argv, *args, **kwargs)

    subprocess.Popen.__init__ = start_without  # type: ignore[method-assign,assignment]


def covering(tests: Path) -> dict[str, list[str]]:
    """Which tests say that they are about which flag (`@pytest.mark.flags`), as pytest names them."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        for test in ast.walk(ast.parse(path.read_text())):
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
                for flag in _flags_of(test):
                    found.setdefault(flag, []).append(f"{path.relative_to(tests.parent)}::{test.name}")
    return found


def _flags_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for each in test.decorator_list:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.flags":
            yield from (ast.literal_eval(argument) for argument in each.args)


def _count_values(rest: Sequence[Any], flag: str) -> int:
    argument: Any = FLAGS[flag]
    if argument.action == "store_true":
        return 0
    if argument.nargs == REMAINDER:
        return len(rest)
    if argument.nargs in ("*", "+"):
        return next((at for at, value in enumerate(rest) if str(value).startswith("--")), len(rest))
    return 1
