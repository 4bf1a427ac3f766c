"""Log lines: context for people and machines, and no token in any of them."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from service import logs
from service.errors import ConfigError
from service.tokens import TokenAuthority
from store.contract import SessionKey


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "service", "store", "bokeh")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    logs.this_replica("")  # a server that other tests ran in this process has set it
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(level: str = "info", form: str = "text", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    logs.set_up(level, form=form, stream=stream)
    return stream


LOG = logging.getLogger("service.test")


def test_line_has_time_level_message_and_context() -> None:
    out = lines()

    LOG.info("opened %s", "it", extra={"session": "ab12", "app": "/a", "replica": "r1"})

    stamp, rest = out.getvalue().split(" ", 1)
    assert stamp.endswith("Z")
    assert rest == "INFO     opened it replica=r1 app=/a session=ab12\n"


def test_what_a_line_is_about_goes_with_each_line_once() -> None:
    out = lines()
    key = SessionKey("/a", "session")

    with logs.log_context(**key.facts):
        LOG.info("within")
    LOG.info("outside")
    LOG.info("by itself", extra=key.facts)

    marked = f"app=/a session={key.short}"
    within, outside, by_itself = out.getvalue().splitlines()
    assert within.endswith(f"within {marked}")
    assert outside.endswith("outside")
    assert by_itself.endswith(f"by itself {marked}")


def test_colours_only_on_a_terminal() -> None:
    plain, terminal = lines(), Terminal()
    LOG.error("x")
    lines(stream=terminal)
    LOG.error("x")

    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[31mERROR" in terminal.getvalue()


def test_level_is_for_our_loggers_and_not_for_the_apps() -> None:
    out = lines("debug")

    LOG.debug("ours")
    logging.getLogger("app").info("theirs")
    logging.getLogger("app").warning("bad")

    assert "ours" in out.getvalue()
    assert "theirs" not in out.getvalue()
    assert "bad" in out.getvalue()


def test_json_line_is_one_object() -> None:
    out = lines(form="json")

    LOG.warning("a\nb", extra={"session": "ab12"})

    [line] = out.getvalue().splitlines()
    fields = json.loads(line)
    assert (fields["level"], fields["message"], fields["session"]) == ("warning", "a\nb", "ab12")


@pytest.mark.parametrize("form", logs.FORMATS)
def test_traceback_is_logged_without_its_tokens(form: str) -> None:
    out = lines(form=form)
    token = TokenAuthority("k").mint("/app", "s", lifetime=1, now=time.time())
    try:
        raise ValueError(token)
    except ValueError:
        LOG.exception("failed with %s", token)

    assert "Traceback" in out.getvalue()
    assert out.getvalue().count("[token]") == 2
    assert "eyJ" not in out.getvalue()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("GET /a?bokeh-token=abc&x=1", "GET /a?bokeh-token=[hidden]&x=1"),
        ("GET /a?x=1&bokeh-session-id=abc.def HTTP", "GET /a?x=1&bokeh-session-id=[hidden] HTTP"),
        ("redis://:pass@host:1/0", "redis://:[hidden]@host:1/0"),
        ("rediss://user:p:a@host", "rediss://user:[hidden]@host"),
        ("http://host:5006/a", "http://host:5006/a"),
        ("2026-01-01 eyJ is no token", "2026-01-01 eyJ is no token"),
        (
            "Sec-WebSocket-Protocol: bokeh, eyJhbGciOiJIUzI1.eyJhdWQ.c2ln",
            "Sec-WebSocket-Protocol: bokeh, [token]",
        ),
    ],
)
def test_secrets_are_taken_out(line: str, shown: str) -> None:
    assert logs.redact(line) == shown


@pytest.mark.parametrize(("level", "form"), [("loud", "text"), ("info", "xml")])
def test_unknown_names_are_refused(level: str, form: str) -> None:
    with pytest.raises(ConfigError):
        logs.set_up(level, form=form)
