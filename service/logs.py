"""What log lines look like and where they go.

Code logs with the standard library and hands facts over as ``extra``; the names in
:data:`CONTEXT` are part of every format. Tokens, session ids and passwords are taken out of each
finished line here, tracebacks included, so that no caller can leak one by accident.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, TextIO

from service.errors import ConfigError

__all__ = (
    "CONTEXT",
    "FORMATS",
    "LEVELS",
    "bind_log_context",
    "log_context",
    "log_failures_once",
    "redact",
    "set_up",
    "this_replica",
)

CONTEXT = ("replica", "app", "session", "operator", "action", "target", "outcome")
"""``extra`` fields shown with a line; ``session`` is the shortened form (``SessionKey.short``)."""

_facts: ContextVar[Mapping[str, str]] = ContextVar("log_facts", default={})  # noqa: B039 - never changed
_replica = ""

LEVELS: Mapping[str, int] = {
    "trace": 9,  # bokeh.util.logconfig
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_OURS = ("service", "store", "bokeh")
"""Loggers that follow ``--log-level``; all others, the apps' included, log warnings and worse."""

_SECRETS = (
    # Session tokens, Bokeh's and ours, start with the base64 of '{"'.
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"), "[token]"),
    (re.compile(r"(bokeh-(?:token|session-id)=)[^&\s\"']+", re.IGNORECASE), r"\1[hidden]"),
    (re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@\"']*:)[^\s@\"']+@"), r"\1[hidden]@"),
)

_COLOURS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m", "DEBUG": "\033[2m"}
_RESET = "\033[0m"


def redact(line: str) -> str:
    """``line`` without tokens, session ids in URLs, and passwords in URLs."""
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line


class _Redacting(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class TextFormatter(_Redacting):
    """For people: time, level, message, then the context as ``name=value``."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {self._level(record)} {super().format(record)}"
        return redact(line)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        context = "".join(f" {name}={value}" for name, value in _context(record).items())
        return record.getMessage() + context

    def _level(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelname, "") if self._colours else ""
        name = f"{record.levelname:<8}"
        return f"{colour}{name}{_RESET}" if colour else name


class JsonFormatter(_Redacting):
    """For machines: one JSON object per line."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, str] = {"time": self.formatTime(record), "level": record.levelname.lower()}
        fields |= {"logger": record.name, "message": redact(record.getMessage()), **_context(record)}
        if record.exc_info:
            fields["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(fields)


class CustomFormatter(logging.Formatter):
    """A format string of Python's logging, which may also name what is in :data:`CONTEXT`."""

    def __init__(self, form: str) -> None:
        super().__init__(form, defaults=dict.fromkeys(CONTEXT, "-"))

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


FORMATS: Mapping[str, type[TextFormatter] | type[JsonFormatter]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
}


def set_up(
    level: str = "info", *, form: str = "text", stream: TextIO | None = None, path: str | None = None
) -> logging.Handler:
    """Send all logging to the file ``path``, else ``stream`` (stderr); colours only if it is a terminal.

    Replaces what was set up before; returns the handler. Raises ConfigError for unknown names, and
    for a file that cannot be written.
    """
    if level not in LEVELS:
        raise ConfigError(f"unknown log level {level!r}")
    handler: logging.StreamHandler[Any] = (
        logging.StreamHandler(stream or sys.stderr) if path is None else _to_file(path)
    )
    handler.setFormatter(_formatter(form, colours=handler.stream.isatty()))
    handler.addFilter(_add_context)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.addLevelName(LEVELS["trace"], "TRACE")
    for name in _OURS:
        logging.getLogger(name).setLevel(LEVELS[level])
    return handler


def bind_log_context(**facts: str) -> Token[Mapping[str, str]]:
    """From here on, lines of this task that say nothing else carry these of :data:`CONTEXT`."""
    return _facts.set({**_facts.get(), **facts})


@contextmanager
def log_context(**facts: str) -> Iterator[None]:
    """As :func:`bind_log_context`, for a while."""
    token = bind_log_context(**facts)
    try:
        yield
    finally:
        _facts.reset(token)


def this_replica(replica: str) -> None:
    """From here on, all lines of this process name the replica."""
    global _replica
    _replica = replica


_TOLD_TWICE = {
    "bokeh.application.application": "Error running application handler",  # bokeh 3.9 and 3.10
    "panel.reactive": "Callback failed for object named",  # panel 1.9 and 1.10, which raises it again
}
"""Loggers of libraries and how what they log of an app's failure begins, which the server logs as well."""


def log_failures_once() -> None:
    """Keep the tracebacks of sessions' failures out of the lines of Bokeh and Panel. Idempotent."""
    for name in _TOLD_TWICE:
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Panel's line names the object; Bokeh's has nothing but the traceback, in its text."""
    if "session" not in _facts.get() or not str(record.msg).startswith(_TOLD_TWICE[record.name]):
        return True
    record.exc_info = record.exc_text = None
    return record.name.startswith("panel")


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in {"replica": _replica, **_facts.get()}.items():
        if value and not hasattr(record, name):
            setattr(record, name, value)
    return True


def _to_file(path: str) -> logging.StreamHandler[Any]:
    """Opened anew when the file is moved away, as log rotation does."""
    try:
        return logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--log-file {path}: {error.strerror}") from error


def _formatter(form: str, *, colours: bool) -> logging.Formatter:
    if form in FORMATS:
        return FORMATS[form](colours=colours)
    if "%(" not in form:
        raise ConfigError(f"unknown log format {form!r}")
    return CustomFormatter(form)


def _context(record: logging.LogRecord) -> dict[str, str]:
    found = ((name, getattr(record, name, None)) for name in CONTEXT)
    return {name: str(value) for name, value in found if value is not None}
