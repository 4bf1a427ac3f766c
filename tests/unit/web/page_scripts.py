"""Which scripts a shell page begins with, by the app's needs and by where BokehJS comes from.

Run by ``test_page_scripts.py``.
"""

from __future__ import annotations

import json
import re

import pytest
from bokeh.embed.bundle import URL, Bundle
from bokeh.models import Button, Column, DataTable, Plot

from service.documents.bundles import bundles_for
from service.web.page import render_shell
from service.web.resources import PageResources

ALL = ["bokeh", "bokeh-gl", "bokeh-widgets", "bokeh-tables", "bokeh-mathjax"]


def first_scripts(page: str) -> list[str]:
    return re.findall(r'<script[^>]* src="[^"]*/(bokeh(?:-[a-z]+)?)[-.\w]*js', page)


def late_scripts(page: str) -> list[str]:
    found = re.search(r"^\}\)\((\[.*\])\)$", page, re.MULTILINE)
    return [each["name"] for each in json.loads(found[1])] if found else []


@pytest.mark.parametrize(
    "needed",
    [set(), {"bokeh-widgets"}, {"bokeh-gl", "bokeh-tables"}, {"bokeh-gl", "bokeh-widgets", "bokeh-tables"}],
    ids=len,
)
@pytest.mark.parametrize("mode", ["server", "server-dev"])
def test_a_page_begins_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, mode: str, needed: set[str]
) -> None:
    monkeypatch.setenv("BOKEH_RESOURCES", mode)
    page = render_shell(PageResources(), "/prefix/", "the token", frozenset(needed))
    assert first_scripts(page) == [each for each in ALL if each in {"bokeh", *needed}]
    assert late_scripts(page) == [each for each in ALL if each not in {"bokeh", *needed}]
    assert all("/prefix/static/js/" in each for each in re.findall(r'"url": "([^"]*)', page))


def test_files_of_somebody_else_are_loaded_as_ever_but_for_mathjax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOKEH_RESOURCES", "cdn")
    page = render_shell(PageResources(), "", "the token", frozenset())
    assert first_scripts(page) == ALL[:-1]
    assert late_scripts(page) == ["bokeh-mathjax"]


def test_a_page_with_all_in_it_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOKEH_RESOURCES", "inline")
    page = render_shell(PageResources(), "", "the token", frozenset())
    assert first_scripts(page) == late_scripts(page) == []


@pytest.mark.parametrize("kind", ["an extension", "a custom model"])
def test_what_is_linked_against_bundles_has_them_all(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    resources = PageResources()
    made = resources.bundle("")
    files, raw = made.js_files, made.js_raw
    if kind == "an extension":
        files = [*files, URL("static/extensions/panel/panel.min.js?v=1")]
    else:
        raw = [*raw, "Bokeh.register_plugin({}, 'main')"]
    monkeypatch.setattr(resources, "bundle", lambda *_: Bundle(files, raw))
    page = render_shell(resources, "", "the token", frozenset())
    assert first_scripts(page)[:4] == ALL[:-1]
    assert late_scripts(page) == ["bokeh-mathjax"]


def test_the_token_is_where_the_page_and_its_early_socket_look_for_it() -> None:
    page = render_shell(PageResources(), "", "the token", frozenset())
    assert '})("the token")' in page
    assert '"token":"the token"' in page
    assert page.index("new WebSocket") < page.index("bokeh.min.js")


class OwnTable(DataTable):
    """Only Python knows it."""


def test_what_a_document_needs() -> None:
    assert bundles_for([Plot(), Column()]) == set()
    assert bundles_for([Plot(output_backend="webgl")]) == {"bokeh-gl"}
    assert bundles_for([Button(), Plot()]) == {"bokeh-widgets"}
    assert bundles_for([DataTable()]) == bundles_for([OwnTable()]) == {"bokeh-tables"}
