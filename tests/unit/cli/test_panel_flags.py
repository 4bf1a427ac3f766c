"""The flags of `panel serve` itself: each works here under its name, or is refused with advice."""

from __future__ import annotations

import pytest
from bokeh.command.subcommands.serve import Serve as BokehServe
from panel.command.serve import Serve as PanelServe

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
    assert flag in OURS | {"--autoreload", "--server"}


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


def test_another_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "app.py", "--server", "fastapi"]) == 2
    assert "--server fastapi" in capsys.readouterr().err
