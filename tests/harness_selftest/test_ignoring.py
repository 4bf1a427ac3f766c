"""`pytest --ignoring`: a flag goes from a command line with all that belongs to it, and nothing else does."""

from __future__ import annotations

import pytest
from harness.ignoring import without

LINE = ["serve", "a.py", "--port", "1", "--show", "--exclude-headers", "X", "Y", "--args", "--port", "2"]


@pytest.mark.parametrize(
    ("flag", "gone"),
    [
        ("--show", slice(4, 5)),
        ("--exclude-headers", slice(5, 8)),
        ("--args", slice(8, None)),
        ("--glob", slice(0, 0)),
    ],
)
def test_it_goes_with_its_values(flag: str, gone: slice) -> None:
    left = LINE.copy()
    del left[gone]

    assert without(LINE, flag) == left


def test_it_goes_each_time_it_is_there() -> None:
    line = ["serve", "--allow-websocket-origin", "a", "--show", "--allow-websocket-origin", "b", "x.py"]

    assert without(line, "--allow-websocket-origin") == ["serve", "--show", "x.py"]
