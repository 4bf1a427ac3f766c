"""Options: logs, and how an author develops an app."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import boolean, option, text
from service.settings import values

__all__ = ("DevelopmentSettings",)


@dataclass(frozen=True, kw_only=True)
class DevelopmentSettings:
    """Logs, and how an author develops an app."""

    log_level: str = option(
        "--log-level",
        values.log_level,
        "One of: trace, debug, info, warning, error or critical",
        "info",
        metavar="LEVEL",
        env=("SVC_LOG_LEVEL", "BOKEH_PY_LOG_LEVEL"),
        yaml="py_log_level",
    )
    log_format: str = option(
        "--log-format",
        values.log_format,
        "text for people, json for machines, or a format string of Python's logging",
        "text",
        metavar="FORMAT",
        env=("SVC_LOG_FORMAT",),
    )
    log_file: str | None = option(
        "--log-file",
        text,
        "Write the log to this file instead of stderr",
        metavar="FILE",
        env=("SVC_LOG_FILE",),
    )
    stats_log_frequency: float = option(
        "--stats-log-frequency",
        values.some_milliseconds,
        "How often to log how many sessions and connections there are",
        "15000",
        metavar="MILLISECONDS",
        env=("SVC_STATS_LOG_FREQUENCY",),
    )
    """Seconds."""
    mem_log_frequency: float = option(
        "--mem-log-frequency",
        values.milliseconds,
        "How often to log how much memory is used, 0 for never",
        "0",
        metavar="MILLISECONDS",
        env=("SVC_MEM_LOG_FREQUENCY",),
    )
    """Seconds; 0 for never."""
    show: bool = option(
        "--show", boolean, "Open the apps in a browser", "false", arity="switch", env=("SVC_SHOW",)
    )
    glob: bool = option(
        "--glob",
        boolean,
        "Take names of directories and scripts as patterns",
        "false",
        arity="switch",
        env=("SVC_GLOB",),
    )
    dev: tuple[str, ...] | None = option(
        "--dev",
        text,
        "Reload apps when their files (or those given here) change, and show tracebacks in the page; "
        "the apps are given before this option",
        metavar="FILES-TO-WATCH",
        arity="any",
        in_file=False,
    )
    """None: off. Otherwise the further files to watch, perhaps none."""
    args: tuple[str, ...] = option(
        "--args",
        str,
        "Everything after this is for the apps' sys.argv",
        "",
        metavar="ARGUMENTS",
        arity="rest",
        in_file=False,
    )
