"""Apps' URL paths: matched however a browser writes them, and links that hold behind any proxy.

A proxy may put a path before ours and take it away again (jupyter-server-proxy, nginx with a path behind
``proxy_pass``), and tells nobody. So what we put into pages and redirects is relative.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from service.apps.app import App

__all__ = ("below_prefix", "files_of", "quoted", "relative_root", "route_of")

_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]")
_NOT_IN_URLS = re.compile(r"[^!-~]")


def quoted(path: str) -> str:
    """The path as it is written in a URL."""
    return quote(path, safe="/~")


def route_of(app: App) -> str:
    """A regular expression for the app's path; its groups are the arguments of an app with a pattern."""
    if app.pattern is not None:
        return _NOT_IN_URLS.sub(lambda found: _written(found[0]), app.pattern)
    return "".join(map(_written, app.path.rstrip("/")))


def files_of(app: App) -> str:
    """The same without groups, for handlers of files below it."""
    route = re.sub(r"\(\?P<[^>]+>", "(?:", route_of(app))
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", route)


def _written(character: str) -> str:
    """All ways in which clients write it: as it is, or in hexadecimal digits of either case."""
    if _PLAIN.fullmatch(character):
        return re.escape(character)
    data = character.encode("utf-8", "surrogateescape")
    escaped = "".join(f"%{byte:02X}" for byte in data)
    # Tornado reads what is not escaped as Latin-1.
    return f"(?:{re.escape(data.decode('latin-1'))}|(?i:{escaped}))"


def below_prefix(path: str, prefix: str) -> str:
    """A request's path without our prefix; empty, or begins with a slash."""
    return path[len(prefix) :] if path == prefix or path.startswith(f"{prefix}/") else path


def relative_root(path: str, prefix: str) -> str:
    """From a page at ``path`` to what is right below ``prefix``: ``./`` or ``../`` as often as it takes."""
    below = below_prefix(path, prefix)
    if not below:
        return f"./{prefix.rpartition('/')[2]}/"
    return "../" * (below.count("/") - 1) or "./"
