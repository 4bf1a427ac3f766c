"""The flags and variables of `bokeh serve` itself: each exists here, and the documentation speaks of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bokeh.command.subcommands.serve import Serve
from bokeh.settings import Settings as BokehSettings
from harness.ignoring import covering

from service.settings import OPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "from-bokeh-serve.md").read_text()
FLAGS = [name for name, _ in Serve.args if str(name).startswith("--")]
NAMES = (
    "ALLOW_WS_ORIGIN", "AUTH_MODULE", "COOKIE_SECRET", "DEFAULT_SERVER_PORT", "ICO_PATH", "PY_LOG_LEVEL",
    "SECRET_KEY", "SIGN_SESSIONS", "SSL_CERTFILE", "SSL_KEYFILE", "SSL_PASSWORD", "XSRF_COOKIES",
)  # fmt: skip
COVERED = covering(Path(__file__).parents[1])
VARIABLES = [f"BOKEH_{name}" for name in NAMES]


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_bokehs_exists_and_is_documented(flag: str) -> None:
    assert flag in {option.flag for option in OPTIONS.values()}
    assert f"`{flag}`" in PAGE


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_bokehs_has_a_test_that_fails_when_it_is_ignored(flag: str) -> None:
    """That they do fail is what `make flags` shows."""
    assert COVERED.get(flag), f"no test is marked with @pytest.mark.flags({flag!r})"


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_of_bokehs_server_is_honoured_and_documented(variable: str) -> None:
    assert variable in {name for option in OPTIONS.values() for name in (*option.env, *option.env_aliases)}
    assert f"`{variable}`" in PAGE


def test_these_are_bokehs_own_names() -> None:
    source = Path(str(__import__(BokehSettings.__module__, fromlist=["x"]).__file__)).read_text()

    assert set(VARIABLES) <= set(re.findall(r"BOKEH_[A-Z_]+", source))
