"""Paths that stand for many: regular expressions as in Bokeh, and Panel's templates, ``/user/{name}``."""

from __future__ import annotations

import re

from service.errors import ConfigError

__all__ = ("pattern_of",)

_OF_PATTERNS = re.compile(r"[\\^$*+?()\[\]{}|]")
_TEMPLATE = re.compile(r"\{(?P<name>[A-Za-z_]\w*)(?::(?P<type>\w+))?\}")
_TYPES = {
    "str": r"[^/]+",
    "path": r".*",
    "int": r"[+-]?[0-9]+",
    "float": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
"""Of a template's parts, as in ``panel.io.server`` (1.9 and 1.10)."""


def pattern_of(path: str) -> str | None:
    """The regular expression that an app's path is or means; None for a plain path. Raises ConfigError."""
    if not _OF_PATTERNS.search(path):
        return None
    pattern = "/".join(map(_part, path.rstrip("/").split("/")))
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"the app path {path} is no regular expression: {error}") from error
    return pattern


def _part(part: str) -> str:
    template = _TEMPLATE.fullmatch(part)
    if template is None:
        return part
    kind = template["type"] or "str"
    if kind not in _TYPES:
        raise ConfigError(f"the app path has {part}, but {kind} is none of {', '.join(_TYPES)}")
    return f"(?P<{template['name']}>{_TYPES[kind]})"
