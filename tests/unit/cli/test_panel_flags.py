"""The flags of `panel serve` itself: each works here under its name, or is refused with advice."""

from __future__ import annotations

import argparse
import inspect
import re

import pytest
from bokeh.command.subcommands.serve import Serve as BokehServe
from panel.command.serve import Serve as PanelServe
from panel.config import _config as panel_config

from service.cli import serve
from service.cli.main import main
from service.cli.panel_flags import INSTEAD, SAME
from service.settings import OPTIONS

OURS = {option.flag for option in OPTIONS.values()}
OF_BOKEH = {str(name) for name, _ in BokehServe.args}
OF_PANEL = [str(name) for name, _ in PanelServe.args if str(name) not in OF_BOKEH]


@pytest.mark.parametrize("flag", OF_PANEL)
def test_every_flag_of_panels_is_in_one_of_the_tables(flag: str) -> None:
    assert (flag in SAME) != (flag in INSTEAD)


@pytest.mark.parametrize("flag", SAME)
def test_what_is_said_to_work_is_there(flag: str) -> None:
    assert flag in OURS | {"--admin-users", "--autoreload", "--server"}


@pytest.mark.parametrize("values", [[], ["value"]])
@pytest.mark.parametrize("flag", INSTEAD)
def test_what_is_not_here_is_refused_with_what_to_do_instead(
    flag: str, values: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "app.py", flag, *values]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"svc: error: {flag} is Panel's, and not here: {INSTEAD[flag]}"


def test_what_to_do_instead_exists() -> None:
    named = {
        word.strip(",;()") for text in INSTEAD.values() for word in text.split() if word.startswith("--")
    }
    known = OURS | {"--json"}
    assert named - known == set()


TAKEN = {"store_true": [], "append": ["1"]}


@pytest.mark.parametrize("flag", sorted(SAME.keys() & {str(name) for name, _ in PanelServe.args}))
def test_what_works_takes_what_panels_takes(flag: str) -> None:
    """As many values, and those that are chosen from."""
    found = {str(name): argument for name, argument in PanelServe.args}[flag]
    theirs = found if isinstance(found, dict) else vars(found)  # --plugins of 1.9
    action, nargs, choices = (theirs.get(name) for name in ("action", "nargs", "choices"))
    choices = choices if isinstance(choices, list | tuple) else ["1"]
    given = TAKEN.get(str(action), [str(choices[0])])
    for values in [given, *([[]] if nargs == "?" else []), *([["1", "2"]] if nargs == "+" else [])]:
        parser = argparse.ArgumentParser(exit_on_error=False)
        serve.add_arguments(parser)
        assert parser.parse_known_args(["app.py", flag, *values])[1] == []


OF_THE_LIBRARY = {
    "PANEL_CDN_ROOT", "PANEL_COMMS", "PANEL_CONSOLE_OUTPUT", "PANEL_DOC_BUILD", "PANEL_EMBED",
    "PANEL_EMBED_JSON", "PANEL_EMBED_JSON_PREFIX", "PANEL_EMBED_LOAD_PATH", "PANEL_EMBED_SAVE_PATH",
    "PANEL_INLINE", "PANEL_IPYWIDGET", "PANEL_LOG_LEVEL", "PANEL_NOTEBOOK_RESOURCES", "PANEL_NPM_CDN",
    "PANEL_PYODIDE_CDN_ROOT",
}  # fmt: skip
"""What Panel reads itself in the place where it is used, and so goes on working."""
OF_A_LOGIN = re.compile("PANEL_(OAUTH_.*|BASIC_AUTH|COOKIE_PATH|USER_KEY)")
NOT_HERE = {"PANEL_ADMIN_LOG_LEVEL"}


def test_panels_variables_are_honoured() -> None:
    sources = (inspect.getsource(inspect.getmodule(each)) for each in (PanelServe, panel_config))  # type: ignore[arg-type]
    named = {name for text in sources for name in re.findall(r"['\"](PANEL_[A-Z_]+)['\"]", text)}
    ours = {name for option in OPTIONS.values() for name in option.env if name.startswith("PANEL_")}
    assert len(named) > 20
    assert {
        name for name in named - ours - OF_THE_LIBRARY - NOT_HERE if not OF_A_LOGIN.fullmatch(name)
    } == set()
    assert ours & (OF_THE_LIBRARY | NOT_HERE) == set()


def test_another_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "app.py", "--server", "fastapi"]) == 2
    assert "--server fastapi" in capsys.readouterr().err
