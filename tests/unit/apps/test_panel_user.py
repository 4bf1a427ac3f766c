"""``pn.state.user``, with what Panel's own logins leave in the browser, and without."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import panel as pn
import pytest
from bokeh.document import Document
from panel.io.state import set_curdoc
from tornado.web import create_signed_value

from service.apps import panel_user

SECRET = "a secret of these tests"
SIGNED = {"user": create_signed_value(SECRET, "user", "grace").decode()}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    panel_user.install()
    monkeypatch.setattr(pn.config, "cookie_secret", SECRET)


@pytest.mark.parametrize(
    ("known", "cookies", "user"),
    [
        ("anna", {}, "anna"),
        ("anna", SIGNED, "anna"),  # of an earlier login
        ("anna", {"is_guest": "1"}, "anna"),  # which anybody can write into a browser
        (None, SIGNED, "grace"),
        (None, {"is_guest": "1"}, "guest"),
        (None, {}, None),
        ('{"name": "anna"}', SIGNED, "grace"),
        ('{"name": "anna"}', {}, '{"name": "anna"}'),
    ],
)
def test_who_was_let_in(known: str | None, cookies: Mapping[str, str], user: str | None) -> None:
    document = Document()
    context = SimpleNamespace(request=SimpleNamespace(user=known, cookies=cookies))
    document._session_context = lambda: context
    with set_curdoc(document):
        assert pn.state.user == user


def test_nobody_is_there_without_a_session() -> None:
    assert pn.state.user is None
