"""``svc worker``: run jobs of apps (``fleet.submit``) until told to stop."""

from __future__ import annotations

import argparse
import os
import sys

from service import logs, settings
from service.lines import check_bokeh
from service.options import add_options
from service.settings import OPTIONS

__all__ = ("HELP", "add_arguments", "run")

HELP = "Run jobs of apps that the sessions of a fleet have submitted."

FLAGS = (
    "apps", "args", "address", "config", "drain_timeout", "encrypt_store", "glob", "jobs", "log_file",
    "log_format", "log_level", "metrics_port", "previous_secret_key", "redis", "redis_prefix", "secret_key",
)  # fmt: skip
"""Those that mean something here. Environment and configuration file may have all that svc serve has."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, {name: OPTIONS[name] for name in FLAGS})


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError and AppLoadError before anything was started."""
    options = settings.from_arguments(vars(arguments), os.environ)
    logs.set_up(options.log_level, form=options.log_format, path=options.log_file)
    check_bokeh()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from service.job_worker import run as run_worker  # late: a typo need not wait until bokeh is imported

    return run_worker(options)
