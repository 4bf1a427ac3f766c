"""``svc completion``: what a shell needs to complete commands, flags and paths of apps."""

from __future__ import annotations

import argparse

from service.exit_codes import SUCCESS
from service.options import PATHS

__all__ = ("HELP", "add_arguments", "run")

HELP = "Print a script that completes commands and flags in bash, zsh or fish."

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='For bash, in ~/.bashrc: eval "$(svc completion bash)"')


def run(arguments: argparse.Namespace) -> int:
    import shtab  # takes as long as everything else at the start of a command

    # Late: the commands are listed there, this one among them.
    from service.cli.main import make_parser

    PATHS.update(shtab.FILE)
    print(shtab.complete(make_parser(), shell=arguments.shell))
    return SUCCESS
