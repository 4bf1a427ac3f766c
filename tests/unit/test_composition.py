"""Building a replica makes its parts and does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from service.composition import Inputs, build
from service.errors import ConfigError
from service.fleet.store_clock import StoreClock
from service.listening import Hosted
from service.settings import Settings
from service.tracing import OFF
from service.web.auth import Auth
from service.web.origins import OriginPolicy

DOES_SOMETHING = ("open", "socket.", "subprocess.", "os.", "shutil.", "_thread.start", "import")
"""Names of audit events begin like this (docs.python.org, "Audit events table")."""

_seen: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    looks_at_system = event == "open" and str(arguments[0]).startswith("/proc/")  # prometheus_client
    if _seen is not None and event.startswith(DOES_SOMETHING) and not looks_at_system:
        _seen.append(f"{event} {arguments}")


sys.addaudithook(_note)  # for good: there is no way to take one off


@pytest.fixture
def inputs() -> Iterator[Callable[..., Inputs]]:
    made: list[Inputs] = []

    def make(**options: object) -> Inputs:
        made.append(make_inputs(**options))
        return made[-1]

    yield make
    for each in made:
        each.listener.close()


def make_inputs(**options: object) -> Inputs:
    settings = Settings(ico_path="none", memory_limit=0, **options)  # type: ignore[arg-type]
    return Inputs(
        settings=settings,
        replica="r1",
        apps={},
        listener=Hosted(settings),
        clock=StoreClock(),
        tracing=OFF,
        auth=Auth(),
        login=None,
        origins=OriginPolicy((), 80),
        versions={"bokeh": "3"},
        digest="d",
    )


@pytest.mark.parametrize("options", [{}, {"redis": "redis://127.0.0.1:1"}, {"app_threads": 0}])
def test_nothing_is_opened_started_or_imported_while_parts_are_made(
    options: dict[str, object], inputs: Callable[..., Inputs]
) -> None:
    global _seen
    given = inputs(**options)
    build(given)  # what is imported late, by others, is there now
    _seen = seen = []
    try:
        parts = build(given)
    finally:
        _seen = None

    assert seen == []
    assert parts.services.replica == "r1"


def test_what_is_watched_is_seen() -> None:
    global _seen
    _seen = seen = []
    try:
        with open(__file__):
            pass
    finally:
        _seen = None

    assert [event.split()[0] for event in seen] == ["open"]


def test_each_replica_has_parts_of_its_own(inputs: Callable[..., Inputs]) -> None:
    given = inputs()
    one, other = build(given), build(given)

    assert one.store is not other.store
    assert one.services.registry is not other.services.registry


def test_a_store_that_cannot_be_is_refused(inputs: Callable[..., Inputs]) -> None:
    with pytest.raises(ConfigError, match="--redis"):
        build(inputs(redis="nonsense://h"))
