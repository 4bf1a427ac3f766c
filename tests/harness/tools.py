"""Programs the tests need beyond Python: missing ones skip a test here, and fail it in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

_PACKAGES = {"supervisord": "supervisor"}
"""Where the package has another name."""


def require(program: str) -> str:
    """The path of `program`. Without it the test is skipped; under CI=true it fails."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        unavailable(f"{program} is not installed: apt-get install {_PACKAGES.get(program, program)}")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it under CI=true, for a reason that could be mended."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)
