"""``svc``: picks the command and turns what went wrong into one line and an exit code.

What a command does is in its own module, listed in :data:`COMMANDS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn, Protocol

from service.cli import completion, doctor, drain, job_worker, jobs, secret, serve, sessions, status, tasks
from service.errors import AppLoadError, ConfigError, ServiceError

__all__ = ("COMMANDS", "Command", "fail", "main", "make_parser")

EXIT_FAILURE = 1
EXIT_USAGE = 2
"""The command cannot be carried out as given; trying again without a change cannot help."""
EXIT_INTERRUPTED = 130


class Command(Protocol):
    """What a command's module holds."""

    HELP: str
    """One line."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code. A ServiceError becomes one line on stderr."""


COMMANDS: Mapping[str, Command] = {
    "completion": completion,
    "doctor": doctor,
    "drain": drain,
    "jobs": jobs,
    "sessions": sessions,
    "serve": serve,
    "secret": secret,
    "status": status,
    "tasks": tasks,
    "worker": job_worker,
}


class _Parser(argparse.ArgumentParser):
    """Complains with one line and no usage text, like everything else here."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``svc`` with these arguments (``sys.argv`` if None); returns the exit code."""
    try:
        arguments = make_parser().parse_args(argv)
        if arguments.command is None:
            make_parser().print_help()
            return EXIT_USAGE
        return COMMANDS[arguments.command].run(arguments)
    except (ConfigError, AppLoadError) as error:
        return fail(error, EXIT_USAGE)
    except ServiceError as error:
        return fail(error, EXIT_FAILURE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def fail(error: ServiceError, code: int) -> int:
    """Say what went wrong in one line; returns ``code``."""
    print("svc: error:", " ".join(str(error).split()), file=sys.stderr)
    return code


def make_parser() -> argparse.ArgumentParser:
    """The command line, with all commands and their flags."""
    parser = _Parser(prog="svc", description="One Bokeh server made of many replicas.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(sub)
    return parser


def _version() -> str:
    return f"svc {version('svc-bokeh')} (bokeh {version('bokeh')}, tornado {version('tornado')})"
