"""Options: what is served, from which configuration, where, and by how many processes."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import integer, option, text
from service.settings import values

__all__ = ("ListeningSettings",)


@dataclass(frozen=True, kw_only=True)
class ListeningSettings:
    """What is served, from which configuration, where, and by how many processes."""

    apps: tuple[str, ...] = option(
        "apps",
        text,
        "The app directories or scripts to serve (an empty document if there are none)",
        "",
        arity="any",
        metavar="DIRECTORY-OR-SCRIPT",
    )
    config: str | None = option(
        "--config",
        text,
        "A TOML file with options, each named like its flag",
        metavar="FILE",
        env=("SVC_CONFIG",),
        in_file=False,
    )
    use_config: str | None = option(
        "--use-config",
        values.existing_file,
        "A YAML file with Bokeh's own settings; those that are options here count before the environment",
        metavar="FILE",
        env=("SVC_USE_CONFIG",),
    )
    port: int = option(
        "--port",
        integer(0, 65535),
        "Port to listen on; 0 picks a free one",
        "5006",
        metavar="PORT",
        env=("SVC_PORT", "BOKEH_DEFAULT_SERVER_PORT"),
        yaml="default_server_port",
    )
    address: str | None = option(
        "--address", text, "Address to listen on, instead of all", metavar="ADDRESS", env=("SVC_ADDRESS",)
    )
    unix_socket: str | None = option(
        "--unix-socket",
        text,
        "Unix socket to listen on instead of a port",
        metavar="PATH",
        env=("SVC_UNIX_SOCKET",),
    )
    num_procs: int = option(
        "--num-procs",
        values.processes,
        "Processes on the one port, each a replica; 0 for as many as there are cores",
        "1",
        metavar="N",
        env=("SVC_NUM_PROCS",),
    )
