"""Who calls a command, by their own word: for the audit lines of the replicas that it asks for something."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
from collections.abc import Mapping

__all__ = ("VARIABLE", "add_caller_argument", "caller")

VARIABLE = "SVC_OPERATOR"


def add_caller_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--operator",
        metavar="NAME",
        help=f"Who does this, for the audit log, where it is marked as a claim (user@host; env: {VARIABLE})",
    )


def caller(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> str:
    """As given, or else the user of the operating system and the host."""
    return arguments.operator or environ.get(VARIABLE) or f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for it, as in containers; OSError since Python 3.13
        return f"uid {os.getuid()}"
