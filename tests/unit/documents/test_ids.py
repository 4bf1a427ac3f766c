"""Model ids that depend on the session only. Fails when Bokeh makes ids elsewhere than we replace it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bokeh.core.types import ID
from bokeh.models import ImportedStyleSheet, Slider
from bokeh.plotting import figure

from service.documents import ids
from service.documents.ids import Ids, IdSpace, current_ids, new_document


@pytest.fixture(autouse=True)
def _installed() -> None:
    ids.install()


@contextmanager
def within(space: Ids | None) -> Iterator[None]:
    token = current_ids.set(space)
    try:
        yield
    finally:
        current_ids.reset(token)


def ids_of_an_app(session: str) -> list[str]:
    space = IdSpace(session)
    document = new_document(space)
    with within(space):
        plot = figure()
        plot.line([1, 2], [3, 4])
        document.add_root(plot)
    return sorted(model.id for model in document.models)


def test_the_same_code_gives_the_same_ids() -> None:
    assert ids_of_an_app("session") == ids_of_an_app("session")


def test_all_models_of_a_session_have_its_prefix() -> None:
    prefix = IdSpace("session").prefix

    assert [each for each in ids_of_an_app("session") if not each.startswith(prefix)] == []


def test_sessions_share_no_ids() -> None:
    assert set(ids_of_an_app("one")).isdisjoint(ids_of_an_app("other"))


def test_counting_goes_on_where_it_was() -> None:
    with within(IdSpace("session", count=41)):
        assert Slider(start=0, end=1, value=0).id == f"{IdSpace('session').prefix}42"


def test_an_id_that_is_given_is_kept_and_not_counted() -> None:
    space = IdSpace("session")
    with within(space):
        assert Slider.__new__(Slider, id=ID("mine")).id == "mine"
    assert space.count == 0


def test_without_a_session_ids_are_bokehs() -> None:
    with within(None):
        assert not Slider(start=0, end=1, value=0).id.startswith(IdSpace("session").prefix)


def test_an_input_has_ids_of_its_own_whatever_else_makes_models_meanwhile() -> None:
    space = IdSpace("session")
    one, other = space.of_input(), space.of_input()
    places = [one.place, other.place]
    made = [one.make(), other.make(), space.make(), one.make(), other.branch().make()]
    assert len(set(made)) == 5

    again = IdSpace("session")
    space.built()  # from here on threads of the app's run are numbered at random, not those of inputs
    one, other = (again.of_input(place) for place in places)
    assert [one.make(), other.make(), one.make(), other.branch().make()] == [made[0], made[1], *made[3:]]


def test_a_place_within_an_input_is_found_again() -> None:
    space = IdSpace("session")
    ids = space.of_input()
    ids.make()
    place = ids.place
    assert -(2**63) <= place < 0
    assert space.of_input(place).make() == ids.make()


def test_style_sheets_shift_no_ids() -> None:
    """Panel makes a model for each once per Document, in whichever input needs it first."""
    space = IdSpace("session")
    ids = space.of_input()
    place = ids.place
    with within(ids):
        sheet, first = ImportedStyleSheet(url="theme.css"), Slider(start=0, end=1, value=0)
    with within(space.of_input(place)):
        second = Slider(start=0, end=1, value=0)

    assert second.id == first.id
    assert sheet.id.startswith(space.prefix)
    assert space.is_of_input(sheet.id)


def test_what_outlives_a_repetition_makes_other_models() -> None:
    space = IdSpace("session")
    ids = space.of_input()
    thread = ids.branch()
    first = ids.make()
    assert space.is_of_input(first)

    ids.over = True

    later = [ids.make(), thread.make(), ids.branch().make()]
    assert len({first, *later}) == 4
    assert [space.is_of_input(each) for each in later[:2]] == [False, False]
