"""Store URLs: what each part means, and what is said about those that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from store.connect import open_store
from store.errors import StoreConfigError
from store.url import StoreUrl, parse

GOOD: dict[str, dict[str, Any]] = {
    "redis://host": {"kind": "redis", "hosts": (("host", 6379),), "db": 0, "tls": False},
    "redis://host:1/7": {"hosts": (("host", 1),), "db": 7},
    "redis://[::1]:2": {"hosts": (("::1", 2),), "where": "redis://[::1]:2"},
    "redis://me:p%40%2F%3A@host": {"username": "me", "password": "p@/:", "where": "redis://host:6379"},
    "redis://:secret@host": {"username": None, "password": "secret"},
    "rediss://host?ssl_ca_certs=/ca.pem": {"tls": True, "options": {"ssl_ca_certs": "/ca.pem"}},
    "unix:///run/r.sock": {"kind": "unix", "path": "/run/r.sock", "where": "unix:///run/r.sock"},
    "unix://me:pw@/run/r.sock?db=3": {"path": "/run/r.sock", "db": 3, "username": "me"},
    "redis+sentinel://a,b:1/main": {
        "kind": "sentinel",
        "hosts": (("a", 26379), ("b", 1)),
        "master": "main",
        "where": "redis+sentinel://a:26379,b:1/main",
    },
    "rediss+sentinel://u:p@a/main/2?sentinel_password=x": {"tls": True, "db": 2, "password": "p"},
    "redis+cluster://a:1,[::1]:2": {"kind": "cluster", "hosts": (("a", 1), ("::1", 2))},
    "rediss+cluster://u:p@a:1/0": {"tls": True, "username": "u"},
}

BAD: dict[str, str] = {
    "": "begin with one of",
    "host:6379": "begin with one of",
    "http://host": "begin with one of",
    "redis:/host": "begin with one of",
    "redis://": "host:port",
    "redis://hunter2@host": "no password",
    "redis://:hunter2@": "host:port",
    "redis://host:port": "host:port",
    "redis://host:99999": "between 1 and 65535",
    "redis://host:0": "between 1 and 65535",
    "redis://:hun/ter2@host": "percent-encoded",
    "redis://:hunter?2@host": "unknown here|percent-encoded",
    "redis://host/db": "database is not a number",
    "redis://host/1/2": "database is not a number",
    "redis://host/-1": "database is not a number",
    "redis://a,b": "several hosts",
    "redis://ho st": "white space",
    "redis://host?hunter2=1": "unknown here",
    "redis://host?ssl_ca_certs=/x": "unknown here",
    "unix://": "absolute path",
    "unix://relative/path": "absolute path",
    "redis+sentinel://a:1,b:2": "name of the master",
    "redis+sentinel://a:1/": "name of the master",
    "redis+sentinel:///main": "host:port",
    "redis+sentinel://a,,b/main": "host:port",
    "redis+cluster://a:1/3": "no database but 0",
    "redis+cluster://": "host:port",
}


@pytest.mark.parametrize("url", GOOD)
def test_parts(url: str) -> None:
    parsed = parse(url)
    assert {name: getattr(parsed, name) for name in GOOD[url]} == GOOD[url]


@pytest.mark.parametrize("url", BAD, ids=[url or "empty" for url in BAD])
def test_a_bad_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(StoreConfigError, match=BAD[url]) as refused:
        open_store(url)
    message = str(refused.value)
    assert "for example " in message
    assert "hunter" not in message
    assert "ter2" not in message


@pytest.mark.parametrize("url", BAD, ids=[url or "empty" for url in BAD])
def test_the_example_given_is_a_good_one(url: str) -> None:
    with pytest.raises(StoreConfigError) as refused:
        parse(url)
    parse(str(refused.value).partition("for example ")[2])


@pytest.mark.parametrize("url", GOOD)
def test_opening_does_no_io(url: str) -> None:
    assert "secret" not in open_store(url).where


@pytest.mark.parametrize("url", GOOD)
def test_every_kind_of_client_can_be_made(url: str) -> None:
    """redis-py takes the options we give it; twice, because a twin makes its own."""
    store = open_store(url.replace("ssl_ca_certs=/ca.pem", "ssl_check_hostname=no"))
    for _ in range(2):
        assert store._link.connect().redis is not None


def test_no_password_in_the_repr() -> None:
    assert "hunter2" not in repr(StoreUrl("redis", password="hunter2"))
    assert "hunter2" not in repr(parse("redis+sentinel://u:hunter2@a/m?sentinel_password=hunter2"))


@pytest.mark.parametrize("options", [{"patience": 0}, {"connections": 0}, {"prefix": "{"}])
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(StoreConfigError):
        open_store(None, **options)
