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
    "--admin": "A page about all replicas, not Panel's; it needs `--admin-users` or `--admin-password`.",
    "--admin-endpoint": "",
    "--admin-password": "",
    "--admin-users": "The same as `--admin-user` with several names.",
    "--autoreload": "`--dev` without files.",
    "--global-loading-spinner": "",
    "--index-titles": "A template of yours gets them as `titles`, too.",
    "--liveness": "`?endpoint=/app` runs that app. `/healthz` is there in any case.",
    "--liveness-endpoint": "",
    "--page-config": "With Panel 1.10.",
    "--plugins": "Modules with `ROUTES` for Tornado.",
    "--profiler": "Needs `--admin`. Panel's own admin page is at `/admin/panel`, about its replica; "
    "of runs of apps side by side one is profiled.",
    "--rest-session-info": "Of all replicas and all apps. Sessions have names that nobody can join them by.",
    "--reuse-sessions": "The page is kept, not a session; by app and user, and by `session_key_func`. "
    "Pages of apps that ask who may see them are not kept.",
    "--root-path": "Links are relative and need none; it is `pn.state.base_url` outside of sessions.",
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
    "--session-history": "Of each replica, and so is `pn.state.session_info`.",
    "--setup": "Run in each process, before its apps are loaded.",
    "--static-dirs": "Asks for the user, as in Panel.",
    "--warm": "Each app is run once before the server is ready.",
}
"""What works here, with what is different in it (Markdown)."""

INSTEAD: Mapping[str, str] = {
    "--admin-log-level": "the page of --admin shows no log; --log-level and --log-format say what is logged",
    "--rest-endpoint": "Panel itself has given it up: --plugins adds endpoints",
    "--rest-provider": "Panel itself has given it up: --plugins adds endpoints",
}
"""What to do instead of using a flag that does not exist here."""


def add_panel_flags(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` say of each what to do instead."""
    for flag in INSTEAD:
        parser.add_argument(flag, nargs="*", action=_Instead, help=argparse.SUPPRESS, dest="instead")
    parser.add_argument("--autoreload", action="store_const", const=[], dest="dev", help=argparse.SUPPRESS,
                        default=argparse.SUPPRESS)  # fmt: skip
    parser.add_argument(
        "--admin-users", nargs="+", action="extend", dest="admin_user", help=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
    )  # fmt: skip
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
            raise ConfigError(f"--server {values}: service.asgi.app serves under others (docs/asgi.md)")
