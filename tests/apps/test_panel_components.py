"""Files that components of Panel apps name are there on any replica, and no others."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import panel.models.esm  # noqa: F401 - the client makes models of its classes
import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client

APP = Path(__file__).parent / "panel_apps" / "components"
MARK = "/* of the other app */"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two apps, which have modules and files of the same names."""
    folder = tmp_path_factory.mktemp("apps")
    apps = [folder / name for name in ("components", "others")]
    for app in apps:
        shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    with (apps[1] / "house.css").open("a") as css:
        css.write(MARK)
    return apps


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], folders: list[Path]) -> Fleet:
    return start_fleet(folders, n=2)


def fetched(replica: Replica, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"{replica.url}/{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


async def named_files(replica: Replica, app: str) -> list[str]:
    """The components' files that a page needs."""
    async with await Client.open(replica.app_url(app), timeout=60) as client:
        assert client.page is not None
        everything = client.page.text + json.dumps(client.document_json)
    return sorted(set(re.findall(r"components/[\w.]+/\w+/\w+/[\w./]+", everything)))


async def test_a_replica_has_files_of_an_extension_that_nothing_imported_there(fleet: Fleet) -> None:
    run_here, not_run_here = fleet.replicas
    async with await Client.open(run_here.app_url("components"), timeout=60):
        for query in ("", "?v=1.10.0", "?a9a9cc4f19fadba2c108149eeaf498f3"):
            path = f"static/extensions/components-files/icons.css{query}"
            assert fetched(run_here, path)[0] == 200
            assert fetched(not_run_here, path) == fetched(run_here, path)
    assert fetched(not_run_here, "static/extensions/components-files/mycomp.bin")[0] == 404


@pytest.mark.parametrize("app", ["components", "others"])
async def test_a_replica_has_them_before_it_runs_the_app(fleet: Fleet, app: str) -> None:
    run_here, not_run_here = fleet.replicas
    files = await named_files(run_here, app)
    assert {file.rpartition("/")[2] for file in files} == {"house.css", "counter.css", "counter.bundle.js"}

    for file in files:
        status, content = fetched(not_run_here, file)
        assert (status, content) == fetched(run_here, file)
        assert status == 200, file
        if file.endswith("house.css"):
            assert (MARK in content) == (app == "others")


@pytest.mark.parametrize(
    "path",
    [
        "mycomp/House/_css/mycomp.py", "mycomp/House/_css/../mycomp.py", "mycomp/House/_css//etc/passwd",
        "mycomp/House/_css/..%2fmycomp.py", "mycomp/House/__doc__/house.css", "mycomp/House/_css",
        "mycomp/Nobody/_css/house.css", "mycomp", "os/path/_css/house.css", "nothing/Nobody/_css/x.css",
        "main/House/_css/house.css", "%00/House/_css/house.css", "never/Never/_css/house.css",
    ],
)  # fmt: skip
async def test_nothing_else_is_served(fleet: Fleet, folders: list[Path], path: str) -> None:
    for replica in fleet.replicas:
        assert fetched(replica, f"components/{path}")[0] in (403, 404)
        assert not replica.matching("Traceback")
    assert not any((folder / "imported").exists() for folder in folders)


async def test_a_page_is_drawn_with_them(fleet: Fleet, tab: Tab) -> None:
    tab.expect_problem(r"fonts\.(googleapis|gstatic)\.com")
    # Panel itself (1.10) asks for the style sheet by its path on the server, too, and does so of panel serve.
    tab.expect_problem(r"/apps\d+/components/counter\.css|Failed to load resource")
    await tab.open(fleet.app_url("components"))

    button = tab.raw.get_by_text("count 3")
    await button.wait_for(timeout=30_000)
    assert await button.evaluate("each => getComputedStyle(each).color") == "rgb(1, 2, 3)"
    await button.click()
    await tab.raw.get_by_text("count 4").wait_for(timeout=30_000)
    style = "getComputedStyle(document.body).getPropertyValue('--house')"
    assert (await tab.evaluate(style)).strip() == "1"
