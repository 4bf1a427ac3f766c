"""``svc``: picks the command and turns what went wrong into one line and an exit code.

What a command does is in its own module, named in :data:`COMMANDS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn, Protocol, cast

from service import exit_codes, memory
from service.errors import AppLoadError, ConfigError, ServiceError

__all__ = ("COMMANDS", "Command", "command_of", "fail", "main", "make_parser")


class Command(Protocol):
    """What a command's module holds."""

    HELP: str
    """One line."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code. A ServiceError becomes one line on stderr."""


COMMANDS: Mapping[str, str] = {
    "completion": "completion",
    "doctor": "doctor",
    "drain": "drain",
    "jobs": "jobs",
    "maintenance": "maintenance",
    "sessions": "sessions",
    "serve": "serve",
    "secret": "secret",
    "status": "status",
    "tasks": "tasks",
    "worker": "job_worker",
}
"""The module of each, imported where it is asked for: a server need not wait for what others use."""


class _Parser(argparse.ArgumentParser):
    """Complains with one line and no usage text, like everything else here."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``svc`` with these arguments (``sys.argv`` if None); returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        with memory.starting():
            parser = make_parser(given[:1])
            arguments = parser.parse_args(given)
        if arguments.command is None:
            parser.print_help()
            return exit_codes.USAGE
        return command_of(arguments.command).run(arguments)
    except (ConfigError, AppLoadError) as error:
        return fail(error, exit_codes.USAGE)
    except ServiceError as error:
        return fail(error, exit_codes.FAILURE)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED


def fail(error: ServiceError, code: int) -> int:
    """Say what went wrong in one line; returns ``code``."""
    print("svc: error:", " ".join(str(error).split()), file=sys.stderr)
    return code


def make_parser(first: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line: of the command that the ``first`` argument names, or of all if it names none."""
    parser = _Parser(prog="svc", description="One Bokeh server made of many replicas.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS.keys() & set(first) or COMMANDS:
        command = command_of(name)
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(sub)
    return parser


def command_of(name: str) -> Command:
    """The module of the command ``name``, imported now."""
    return cast(Command, import_module(f"service.cli.{COMMANDS[name]}"))


class _Version(argparse.Action):
    """Prints the versions and exits, as argparse's own action; which are looked up on disk only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(
            option_strings, argparse.SUPPRESS, nargs=0, help="show program's version number and exit"
        )

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(_version())
        parser.exit()


def _version() -> str:
    return f"svc {version('svc-bokeh')} (bokeh {version('bokeh')}, tornado {version('tornado')})"
