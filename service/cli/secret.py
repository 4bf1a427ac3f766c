"""``svc secret``: print a strong key for ``--secret-key`` (``SVC_SECRET_KEY``)."""

from __future__ import annotations

import argparse

from service.exit_codes import SUCCESS
from service.tokens import generate_secret

__all__ = ("HELP", "add_arguments", "run")

HELP = "Print a strong secret key."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(arguments: argparse.Namespace) -> int:
    print(generate_secret())
    return SUCCESS
