"""Fixtures for all tests; what they give lives in `tests/harness` and `tools/devfleet`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from devfleet import nursery, processes
from devfleet.asgi import AsgiReplica
from devfleet.fleet import Fleet
from devfleet.replica import BokehServe, Replica, Server
from harness import browser as browsers
from harness import ignoring, sockets
from harness.apps import CountedApp
from harness.redis_server import RedisServer
from harness.tools import require
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser

ROOT = Path(__file__).parent.parent
EXAMPLES = ("sliders.py", "weather", "streaming.py", "explorer.py")

# No example has to be quick on a busy machine: as Hypothesis has it by itself only where CI=true.
settings.register_profile(
    "any speed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any speed")


@pytest.fixture(scope="session")
def examples() -> Path:
    """The directory of the example apps."""
    return ROOT / "examples"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A redis-server, shared by a module's tests."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def start_fleet() -> Iterator[Callable[..., Fleet]]:
    """Starts fleets: `start_fleet([app, ...], n=3, args=[...])`. They end with the module.

    A module makes of it the fixture its tests want: one fleet for all, or one for each test.
    """
    require("redis-server")
    require("nginx")
    with ExitStack() as started:

        def start(apps: Any, **options: Any) -> Fleet:
            return started.enter_context(Fleet(apps, **options))

        yield start


@pytest.fixture(scope="module", params=["one server", "three replicas"])
def serving(
    request: pytest.FixtureRequest, start_fleet: Callable[..., Fleet]
) -> Iterator[Callable[..., Server | Fleet]]:
    """Starts apps, `serving([app, ...], args=[...])`, for the same tests on one server and on a fleet.

    The last replica of the fleet is an ASGI application, so the tests are for both fronts.

    Tests that want others say so: `parametrize("serving", ["bokeh serve"], indirect=True)`.
    """
    if request.param == "three replicas":
        yield partial(start_fleet, make_last=AsgiReplica)
        return
    kind = {"one server": Replica, "bokeh serve": BokehServe}[request.param]
    with ExitStack() as started:

        def start(apps: Any, **options: Any) -> Server:
            return started.enter_context(kind(apps, name=request.param, **options))

        yield start


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Fleet:
    """redis-server, three replicas with all examples, and nginx; shared by a module's tests."""
    return start_fleet([examples / name for name in EXAMPLES])


@pytest.fixture(scope="module")
def own_command_line() -> Iterator[None]:
    """For modules about how `svc` starts: their replicas do not come from a nursery."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Replica, "nurseries", None)
        yield


@pytest.fixture
def replica() -> Iterator[Callable[..., Replica]]:
    """Starts single replicas: `replica([app], redis_url=..., args=[...])`. They end with the test."""
    started: list[Replica] = []

    def start(apps: Any, **options: Any) -> Replica:
        started.append(Replica(apps, **{"name": f"replica {len(started)}", **options}))
        return started[-1].start()

    yield start
    for each in reversed(started):
        each.stop()


@pytest.fixture
def counted_app(tmp_path: Path) -> Callable[..., CountedApp]:
    """Writes apps that count their own runs: `counted_app("name", body="...")`; see harness.apps."""

    def write(name: str = "counted", **options: Any) -> CountedApp:
        return CountedApp(tmp_path, name, **options)

    return write


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests."""
    async with browsers.chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Opens tabs, each in a profile of its own: `tab = await open_tab()`. Each is checked at the end."""
    async with AsyncExitStack() as tabs:

        async def open_one(**context_options: Any) -> browsers.Tab:
            return await tabs.enter_async_context(browsers.tab(browser, **context_options))

        yield open_one


@pytest_asyncio.fixture(loop_scope="session")
async def tab(open_tab: Callable[..., Any]) -> browsers.Tab:
    """A browser tab that fails the test at its end if anything unexpected went wrong in it."""
    opened: browsers.Tab = await open_tab()
    return opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--alone",
        choices=("with", "without", "only"),
        default="with",
        help="tests marked so, see tools/run_tests",
    )
    parser.addoption("--ignoring", metavar="FLAG", help="start servers without it; see harness.ignoring")


def pytest_configure(config: pytest.Config) -> None:
    sockets.note_connections()
    if flag := config.getoption("--ignoring"):
        ignoring.ignore(flag)
    elif nursery.AVAILABLE:
        Replica.nurseries = nursery.Nurseries(Replica.command[0])


def pytest_unconfigure() -> None:
    if Replica.nurseries is not None:
        Replica.nurseries.close()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a test to run alone need not be imported, all of them, to find that out."""
    if config.getoption("--alone") != "only" or collection_path.suffix != ".py":
        return None
    return True if "mark.alone" not in collection_path.read_text() else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by what they use. Those with a browser run in the browser's event loop."""
    _choose(config, items)
    for item in items:
        used = getattr(item, "fixturenames", ())
        if "browser" in used:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if "start_fleet" in used:
            item.add_marker(pytest.mark.fleet)
        if "redis_server" in used:
            item.add_marker(pytest.mark.redis)


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves what `--alone` asks for."""
    which = config.getoption("--alone")
    if which == "with":
        return
    chosen = [item for item in items if (which == "only") == (item.get_closest_marker("alone") is not None)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    try:
        return (yield)
    finally:
        sockets.close_left_open()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the last words of every process that was running."""
    report = yield
    if report.failed:
        for each in filter(attrgetter("lines"), processes.running()):
            report.sections.append((f"log of {each!r}", each.tail()))
    return report
