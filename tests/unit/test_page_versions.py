"""What pages say of the versions they were made with, and what follows from it."""

from __future__ import annotations

import time

import pytest

from service.bokeh_tokens import random_string
from service.errors import TokenExpired, TokenMisdirected
from service.page_versions import LEGACY, PageVersions
from service.tokens import SessionIds, TokenAuthority

OLD = PageVersions.of({"bokeh": "3.9.2", "panel": "1.9.4"})
NEW = PageVersions.of({"bokeh": "3.10.2", "panel": "1.10.0"})


def test_all_versions_count() -> None:
    assert not OLD.made_as(NEW)
    assert not NEW.made_as(PageVersions.of({"bokeh": "3.10.2", "panel": "1.10.1"}))
    assert NEW.made_as(PageVersions.of({"panel": "1.10.0", "bokeh": "3.10.2"}))
    assert NEW.made_as(PageVersions(NEW.bokeh, NEW.extensions, embedded=True))


def test_only_bokehjs_from_3_10_on_keeps_buffers() -> None:
    assert [page.keeps_buffers for page in (OLD, NEW, LEGACY, PageVersions())] == [False, True, False, False]
    assert PageVersions("3.11.0.dev2").keeps_buffers


def test_of_a_page_without_versions_the_line_of_bokeh_decides() -> None:
    assert LEGACY.has_extensions_of(OLD)
    assert not LEGACY.has_extensions_of(NEW)


@pytest.mark.parametrize("page", [OLD, NEW, PageVersions("3.10.2", "ab", embedded=True), PageVersions()])
def test_as_text_and_back(page: PageVersions) -> None:
    assert PageVersions.from_text(page.text) == page


@pytest.mark.parametrize("text", [None, 3, "3.10\n x", "<b> <i>", "x" * 100])
def test_strange_texts_say_nothing(text: object) -> None:
    assert PageVersions.from_text(text) == PageVersions()


def test_tokens_carry_it_and_stay_short() -> None:
    tokens = TokenAuthority(random_string(), session_ids=SessionIds.SIGNED)
    page = PageVersions("3.10.2.dev15+g0123456789", NEW.extensions, embedded=True)
    session = tokens.new_session_id()
    token = tokens.mint("/an-app", session, lifetime=300, now=time.time(), user="somebody", page=page)
    assert len(token) < 500
    assert tokens.verify(token, "/an-app").page == page


def test_tokens_of_releases_that_do_not_say_are_of_bokeh_3_9() -> None:
    tokens = TokenAuthority(random_string())
    token = tokens.mint("/app", tokens.new_session_id(), lifetime=300, now=time.time())
    assert tokens.verify(token, "/app").page == LEGACY


def test_a_file_token_is_for_one_replica_and_one_file() -> None:
    tokens = TokenAuthority(random_string())
    (token,) = tokens.mint_file("/static/js/bokeh.min.js", "a", now=0)
    (relay,) = tokens.mint_relay("/app", "s", 1, "a", now=0)
    assert tokens.verify_file(token, "a", now=1).path == "/static/js/bokeh.min.js"
    for wrong in (
        lambda: tokens.verify_file(token, "b", now=1),
        lambda: tokens.verify_relay(token, "a", now=1),
        lambda: tokens.verify_file(relay, "a", now=1),
    ):
        with pytest.raises(TokenMisdirected):
            wrong()
    with pytest.raises(TokenExpired):
        tokens.verify_file(token, "a", now=31)
