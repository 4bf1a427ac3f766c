"""``svc``: which command runs, and what the user sees when it cannot."""

from __future__ import annotations

import argparse
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from service.cli import main as cli
from service.errors import AppLoadError, ConfigError, Unavailable
from service.settings import OPTIONS, Settings


@pytest.fixture(autouse=True)
def _logging_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.logs.set_up", lambda *_, **__: None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for ``service.running``: remembers the settings, ends with ``result``."""
    module: Any = ModuleType("service.running")
    module.settings = None
    module.result = 0

    def run(settings: Settings, inherited: object = None) -> int:
        module.settings = settings
        if isinstance(module.result, BaseException):
            raise module.result
        return int(module.result)

    module.run = run
    monkeypatch.setitem(sys.modules, "service.running", module)
    return module


def test_serve_hands_the_settings_to_the_server(server: Any) -> None:
    assert cli.main(["serve", "--port", "0", "app.py", "--args", "--port", "7"]) == 0

    assert server.settings.port == 0
    assert server.settings.apps == ("app.py",)
    assert server.settings.args == ("--port", "7")


def test_serve_reads_the_environment(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVC_PORT", "1234")

    cli.main(["serve"])

    assert server.settings.port == 1234


def test_the_servers_exit_code_is_ours(server: Any) -> None:
    server.result = 3

    assert cli.main(["serve"]) == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a: b"), 2),
        (AppLoadError("a:\n  b"), 2),
        (Unavailable("a: b"), 1),
    ],
)
def test_error_becomes_one_line_and_a_code(
    server: Any, error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.result = error

    assert cli.main(["serve"]) == code
    assert capsys.readouterr().err == "svc: error: a: b\n"


def test_interrupt_is_no_error(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    server.result = KeyboardInterrupt()

    assert cli.main(["serve"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["serve", "--no-such"], "unrecognized arguments: --no-such"),
        (["serve", "--redi", "x"], "unrecognized arguments: --redi"),
        (["serve", "--port"], "argument --port: expected one argument"),
        (["serve", "--port", "x"], "--port: 'x' is not a whole number"),
        (["secret", "x"], "unrecognized arguments: x"),
    ],
)
def test_bad_command_line_gives_one_line_and_exit_code_2(
    argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2

    captured = capsys.readouterr()
    assert captured.err.startswith("svc: error: ")
    assert reason in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_alone_it_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2

    captured = capsys.readouterr()
    assert captured.err == ""
    for name in cli.COMMANDS:
        assert name in captured.out
        assert cli.command_of(name).HELP.split()[0] in captured.out


def test_help_has_each_option_once_and_the_most_used_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    shown = capsys.readouterr().out
    flags = [line.split()[0].rstrip(",") for line in shown.splitlines() if line.startswith("  --")]

    assert {opt.flag for opt in OPTIONS.values()} <= {*flags, "apps"}
    assert len(flags) == len(set(flags))
    assert {"--port", "--redis", "--allow-websocket-origin"} < set(flags[:10])


def test_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sevre"]) == 2
    assert "'sevre'" in capsys.readouterr().err


def test_secret_prints_a_strong_key_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert [cli.main(["secret"]), cli.main(["secret"])] == [0, 0]

    one, other = capsys.readouterr().out.split()
    assert one != other
    assert len(one) == 44


def test_version_names_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("svc ")


def test_completion_in_a_real_bash(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(svc serve --max-s) COMP_CWORD=2; _shtab_svc; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=False)

    found = {"--max-sessions", "--max-sessions-per-app", "--max-sessions-per-user"}
    assert set(done.stdout.split()) == found, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_of_other_shells_has_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out

    assert all(name in script for name in cli.COMMANDS)


@pytest.mark.parametrize("argv", [["--help"], *[[name, "--help"] for name in cli.COMMANDS]])
def test_help_can_be_shown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)

    assert caught.value.code == 0
    assert "usage: svc" in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_complete(name: str) -> None:
    command = cli.command_of(name)

    command.add_arguments(argparse.ArgumentParser())
    assert command.HELP.endswith(".")


def test_a_typo_does_not_wait_for_bokeh() -> None:
    code = "import sys; from service.cli.main import main; main(['serve', '--port', 'x'])"
    code += "; print('bokeh' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
