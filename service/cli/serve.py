"""``svc serve``: run one replica, or several on one port, until told to stop."""

from __future__ import annotations

import argparse
import io
import os
import sys

from service import logs, settings
from service.cli.panel_flags import add_panel_flags
from service.lines import check_bokeh
from service.listening import Inherited
from service.memory import share_freed_blocks, starting
from store.redis_import import without_metrics_sdk

__all__ = ("HELP", "add_arguments", "import_server", "run", "serve")

HELP = "Serve Bokeh apps."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    settings.add_arguments(parser)
    add_panel_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Raises ConfigError and AppLoadError before anything was started."""
    options = settings.from_arguments(vars(arguments), os.environ)
    logs.set_up(options.log_level, form=options.log_format, path=options.log_file)
    check_bokeh()
    if options.num_procs > 1:
        from service.cli import processes

        return processes.run(options)
    return serve(options)


def import_server() -> None:
    """Late: a typo need not wait until bokeh is imported."""
    with starting():
        from service.documents.signatures import made_on_demand

        with made_on_demand(), without_metrics_sdk():
            import service.running  # noqa: F401


def serve(options: settings.Settings, inherited: Inherited | None = None) -> int:
    """Serve in this process; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what apps print is seen at once, in a pipe, too
    if not (os.environ.get("MALLOC_ARENA_MAX") or "arena_max" in os.environ.get("GLIBC_TUNABLES", "")):
        share_freed_blocks()
    import_server()
    from service.running import run as run_server

    if options.use_config is not None:
        from bokeh.settings import settings as bokehs

        bokehs.load_config(options.use_config)
    return run_server(options, inherited)
