"""``svc serve``: run one replica until it is told to stop."""

from __future__ import annotations

import argparse
import os

from service import logs, settings

__all__ = ("HELP", "add_arguments", "run")

HELP = "Serve Bokeh apps."

add_arguments = settings.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError and AppLoadError before anything was started."""
    options = settings.from_arguments(vars(arguments), os.environ)
    logs.set_up(options.log_level)
    from service.server import run as serve  # late: a typo need not wait until bokeh is imported

    return serve(options)
