"""What the text of an option is turned into. ValueError says what is wrong, after the option's name."""

from __future__ import annotations

import ast
import base64
import json
import logging
import os
import re
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Any

from service.logs import LEVELS
from service.options import boolean, choice, integer, number, text
from service.tokens import SessionIds

__all__ = (
    "app_limit",
    "base_url",
    "cookie_path",
    "existing_file",
    "fernet_key",
    "icon",
    "index_page",
    "key_prefix",
    "literal_dict",
    "literal_list",
    "log_format",
    "log_level",
    "lower",
    "milliseconds",
    "otlp",
    "page_config",
    "pair",
    "processes",
    "reuse_mode",
    "session_ids",
    "sign_sessions",
    "slashed_path",
    "some_milliseconds",
    "static_dir",
    "traces_exporter",
    "url_prefix",
)

TEMPLATE_SUFFIXES = (".html", ".htm", ".xhtml", ".jinja", ".jinja2", ".j2", ".tmpl", ".tpl")
APP_SUFFIXES = (".py", ".ipynb", ".md", "")

milliseconds = number(0, unit=0.001)
"""Seconds, given in milliseconds."""
some_milliseconds = number(1, unit=0.001)
"""The same, at least one of them."""


def session_ids(raw: str) -> SessionIds:
    return SessionIds(choice(*SessionIds)(raw))


def sign_sessions(raw: str) -> SessionIds:
    return SessionIds.SIGNED if boolean(raw) else SessionIds.UNSIGNED


def traces_exporter(raw: str) -> str:
    """OpenTelemetry's own variable. We have no other exporters than these."""
    known = {"otlp": "otlp", "console": "console"}
    return known.get(raw.lower(), "off")


def otlp(raw: str) -> str:
    """Somebody has named an endpoint; OpenTelemetry reads which."""
    return "otlp"


def log_level(raw: str) -> str:
    """Bokeh also takes ``none``, and means its default by it."""
    return "info" if raw.lower() == "none" else str(choice(*LEVELS)(raw))


def url_prefix(raw: str) -> str:
    """As Bokeh: slashes at either end do not matter."""
    path = raw.strip("/")
    if re.search(r"[\s?#]", path):
        raise ValueError("is not a URL path")
    return f"/{path}" if path else ""


def key_prefix(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", raw):
        raise ValueError("may hold letters, digits and . _ : - only")
    return raw


def _ipv6_address(raw: str) -> IPv6Address:
    try:
        return IPv6Address(raw)
    except AddressValueError:
        raise ValueError("is neither HOST:PORT nor an http:// or https:// URL") from None


def base_url(raw: str) -> str:
    """``HOST:PORT``, or a URL with nothing behind its path.

    An IPv6 address may go without brackets where a port follows it: Kubernetes composes ``$(POD_IP):5006``.
    """
    if bare := re.fullmatch(r"([0-9A-Fa-f]*:[0-9A-Fa-f:.]*):([0-9]{1,5})", raw, re.ASCII):
        raw = f"[{_ipv6_address(bare[1])}]:{bare[2]}"
    found = re.fullmatch(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[^\s?#]*)?", raw, re.ASCII)
    if found is None:
        raise ValueError("is neither HOST:PORT nor an http:// or https:// URL")
    scheme, _, port, _ = found.groups()
    if not scheme and not port:
        raise ValueError("names no port")
    if port:
        integer(1, 65535)(port[1:])
    return (raw if scheme else f"http://{raw}").rstrip("/")


def existing_file(raw: str) -> str:
    if not Path(raw).is_file():
        raise ValueError("there is no such file")
    return raw


def index_page(raw: str) -> str:
    """A file named as a template (anything else would be shown to visitors as it is), or an app."""
    suffix = Path(raw).suffix.lower()
    if suffix in APP_SUFFIXES:
        return raw  # whether it is one of the apps is known when they are loaded
    if suffix not in TEMPLATE_SUFFIXES:
        raise ValueError(f"is neither an app nor a template by its name ({', '.join(TEMPLATE_SUFFIXES)})")
    return existing_file(raw)


def cookie_path(raw: str) -> str:
    if not raw.startswith("/") or re.search(r"[\s;]", raw):
        raise ValueError("is not a URL path that begins with a slash")
    return raw


def lower(raw: str) -> str:
    return text(raw).lower()


def _literal(raw: str) -> Any:
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def literal_dict(raw: str) -> dict[str, Any]:
    found = _literal(raw)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError("is not a Python dictionary such as \"{'scope': ['openid']}\"")
    return found


def literal_list(raw: str) -> tuple[str, ...]:
    found = _literal(raw)
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ValueError("is not a Python list such as ['/app']")
    return tuple(found)


def fernet_key(raw: str) -> str:
    try:
        right = len(base64.urlsafe_b64decode(raw.encode("ascii"))) == 32
    except ValueError:
        right = False
    if not right:
        raise ValueError("is not 32 bytes in url-safe base64: panel oauth-secret prints one")
    return raw


def slashed_path(raw: str) -> str:
    """A path of its own, with one slash before it and none behind; given with or without, as for Panel."""
    path = raw.strip("/")
    if not path or re.search(r"[\s?#]", path):
        raise ValueError("is not a URL path below the root")
    return f"/{path}"


def page_config(raw: str) -> str:
    """JSON, or a file that holds some; its keys are Panel's business."""
    try:
        text = raw if raw.lstrip().startswith("{") else Path(raw).read_text("utf-8")
        if not isinstance(json.loads(text), dict):
            raise ValueError("is no JSON object")
    except (OSError, UnicodeDecodeError):
        raise ValueError("is neither a JSON object nor a file that holds one") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    return raw


def reuse_mode(raw: str) -> str:
    """Panel's ``True``, ``False`` and ``warm``."""
    return "warm" if raw.lower() == "warm" else ("on" if boolean(raw) else "off")


def pair(raw: str) -> tuple[str, str]:
    key, mark, value = raw.partition("=")
    if not (key and mark and value):
        raise ValueError("is not PATH=VALUE")
    return f"/{key.strip('/')}", value


def static_dir(raw: str) -> tuple[str, str]:
    path, directory = pair(raw)
    if path in ("/", "/static"):
        raise ValueError("would hide pages or BokehJS: give it a path of its own")
    if not Path(directory).is_dir():
        raise ValueError("leads to no directory")
    return path, str(Path(directory).resolve())


def app_limit(raw: str) -> tuple[str, int]:
    """``50`` for every app, ``/sliders=50`` for one."""
    app, limit = pair(raw) if "=" in raw else ("", raw)
    return app, integer(0)(limit)


def icon(raw: str) -> str:
    """``none``, ``default`` (Bokeh's, also by its development name), or a file."""
    if raw.lower() in ("none", "default", "default-dev"):
        return raw.lower().removesuffix("-dev")
    return existing_file(raw)


def log_format(raw: str) -> str:
    """``text``, ``json`` or a format string of Python's logging."""
    if raw in ("text", "json"):
        return raw
    if "%(" not in raw:
        raise ValueError("is neither text nor json nor a format string such as '%(asctime)s %(message)s'")
    try:
        logging.Formatter(raw).format(logging.makeLogRecord({"msg": ""}))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"is not a format string of Python's logging: {error}") from None
    return raw


def processes(raw: str) -> int:
    """0 means one per core, as in Bokeh."""
    return integer(0, 1024)(raw) or os.cpu_count() or 1
