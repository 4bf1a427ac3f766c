"""The flags of ``panel serve`` (1.9, 1.10) that ``bokeh serve`` does not have: ours, or what to do instead.

A test asks Panel's own command for its flags, so that its next release tells what is new.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import ConfigError

__all__ = ("INSTEAD", "SAME", "add_panel_flags")

SAME: Mapping[str, str] = {
    "--num-threads": "Panel's callbacks run side by side on the threads of `--app-threads`.",
    "--admin": "A page about all replicas, not Panel's. `--admin-user` says who may see it.",
    "--autoreload": "`--dev` without files.",
    "--index-titles": "On our list of apps; a template of yours gets them as `titles`.",
    "--liveness": "Another name for `/healthz`, which is there in any case.",
    "--liveness-endpoint": "Where `--liveness` answers.",
    "--plugins": "Modules with `ROUTES` for Tornado.",
    "--server": "`tornado` only.",
    "--auth-template": "See [login](login.md).",
    "--basic-auth": "Panel's login form, on every replica: [login](login.md).",
    "--basic-login-template": "",
    "--cookie-path": "",
    "--login-endpoint": "",
    "--logout-endpoint": "",
    "--logout-template": "",
    "--oauth-encryption-key": "For cookies; what is in Redis is encrypted in any case.",
    "--oauth-error-template": "",
    "--oauth-expiry-days": "",
    "--oauth-extra-params": "",
    "--oauth-guest-endpoints": "Also with query arguments, and below `--prefix`.",
    "--oauth-jwt-user": "",
    "--oauth-key": "",
    "--oauth-optional": "",
    "--oauth-provider": "Panel's own handlers, on every replica: [login](login.md).",
    "--oauth-redirect-uri": "With `--prefix`, the server's address includes it if not given.",
    "--oauth-refresh-tokens": "Once for the fleet, for sessions wherever they are.",
    "--oauth-secret": "",
    "--setup": "Run in each process, before its apps are loaded.",
    "--static-dirs": "Asks for the user, as in Panel.",
    "--warm": "Each app is run once before the server is ready.",
}
"""What works here, with what is different in it (Markdown)."""

INSTEAD: Mapping[str, str] = {
    "--admin-endpoint": "the page of --admin is at /admin",
    "--admin-log-level": "the page of --admin shows no log; see --log-level",
    "--admin-password": "say with --admin-user who may see the page of --admin",
    "--admin-users": "say with --admin-user who may see the page of --admin",
    "--global-loading-spinner": "say pn.config.global_loading_spinner = True in the app",
    "--page-config": "give --index a template",
    "--profiler": "--traces shows what takes its time",
    "--rest-endpoint": "--plugins adds endpoints",
    "--rest-provider": "--plugins adds endpoints",
    "--rest-session-info": "svc sessions --json and /metrics know the sessions of all replicas",
    "--reuse-sessions": "plain Bokeh pages are sent without running the app; --warm runs it once before",
    "--root-path": "links are relative; say --prefix if the proxy passes the path on, and nothing if not",
    "--session-history": "svc sessions --json and /metrics know the sessions of all replicas",
}
"""What to do instead of using a flag that does not exist here."""


def add_panel_flags(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` say of each what to do instead."""
    for flag in INSTEAD:
        parser.add_argument(flag, nargs="*", action=_Instead, help=argparse.SUPPRESS, dest="instead")
    parser.add_argument("--autoreload", action="store_const", const=[], dest="dev", help=argparse.SUPPRESS,
                        default=argparse.SUPPRESS)  # fmt: skip
    parser.add_argument("--server", action=_OurServer, help=argparse.SUPPRESS, dest="instead")


class _Instead(argparse.Action):
    def __call__(
        self, parser: Any, namespace: Any, values: str | Sequence[Any] | None, flag: str | None = None
    ) -> None:
        assert flag is not None
        raise ConfigError(f"{flag} is Panel's, and not here: {INSTEAD[flag]}")


class _OurServer(argparse.Action):
    def __call__(
        self, parser: Any, namespace: Any, values: str | Sequence[Any] | None, flag: str | None = None
    ) -> None:
        if values != "tornado":
            raise ConfigError(f"--server {values}: svc is a server of its own; leave it out, or say tornado")
