"""Where settings come from (command line, environment, configuration files), and how they are listed.

Nothing else is handed the environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from service.options import Checked, Option, add_options, from_yaml, lookup, read_toml, read_yaml
from service.settings.combined import GROUPS, OPTIONS, Settings

__all__ = ("add_arguments", "from_arguments", "options_table")

_MOST_USED = (
    "apps", "port", "address", "redis", "num_procs", "allow_websocket_origin", "prefix", "secret_key", "dev",
    "show", "log_level",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` a flag per option, in groups: those that most people need come first."""
    parser.usage = "%(prog)s [OPTION ...] [DIRECTORY-OR-SCRIPT ...]"
    for title, options in _in_groups():
        add_options(parser.add_argument_group(title), options)


def _in_groups() -> Iterator[tuple[str, Mapping[str, Option]]]:
    yield "most used", {name: OPTIONS[name] for name in _MOST_USED}
    for title, options in GROUPS.items():
        yield title, {name: made for name, made in options.items() if name not in _MOST_USED}


def from_arguments(given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings by precedence: flag, environment, configuration file, default.

    ``given`` is what a parser with :func:`add_arguments` found (``vars(namespace)``). Raises
    ConfigError with one line that names the option and where its value came from.
    """
    path = lookup(OPTIONS["config"], given.get("config"), environ, {}, "") or ""
    file = read_toml(path, OPTIONS.values()) if path else {}
    bokehs = lookup(OPTIONS["use_config"], given.get("use_config"), environ, file, path) or ""
    yaml = read_yaml(bokehs) if bokehs else {}
    given = {**_from_yaml(yaml, bokehs), **given}
    return Settings(
        **{name: lookup(opt, given.get(name), environ, file, path) for name, opt in OPTIONS.items()}
    )


def _from_yaml(yaml: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The options that Bokeh's settings file has, as if they were given as flags."""
    return {
        name: Checked(from_yaml(opt, yaml[opt.yaml], path))
        for name, opt in OPTIONS.items()
        if opt.yaml is not None and yaml.get(opt.yaml) is not None
    }


def options_table() -> str:
    """All options as a Markdown table, for the documentation."""
    rows = ["| option | environment | default | meaning |", "|---|---|---|---|"]
    for opt in OPTIONS.values():
        value = "" if opt.arity == "switch" or not opt.metavar else f" {opt.metavar}"
        variables = ", ".join(f"`{name}`" for name in (*opt.env, *opt.env_aliases))
        cells = (f"`{opt.flag}{value}`", variables, opt.default or "", opt.help)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
