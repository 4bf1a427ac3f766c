"""Import spaces: an app's own modules win in its code, whoever else has modules of those names."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

import store
import store.contract as contract
from service.apps.imports import ImportSpace

Make = Callable[..., "App"]


class App:
    """A directory with modules, and code that runs in it as a script does."""

    def __init__(self, directory: Path, files: dict[str, str]) -> None:
        self.directory = directory
        self.write(files)
        self.space = ImportSpace(directory)

    def write(self, files: dict[str, str]) -> None:
        for name, source in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))

    def run(self, source: str, **given: Any) -> dict[str, Any]:
        """The globals of a script with this source, as Bokeh's CodeRunner would run it."""
        path = str(self.directory / "main.py")
        namespace = {"__name__": "bokeh_app_1", "__file__": path, **given}
        exec(compile(textwrap.dedent(source), path, "exec"), namespace)
        return namespace


def files_of(name: str) -> dict[str, str]:
    """What an app called `name` has, under the names that others have as well."""
    return {
        "helpers.py": f"NAME = {name!r}\nITEMS = []\n",
        "store.py": f"NAME = {name!r}\n",
        "parts/__init__.py": "from . import lower\nfrom .lower import NAME\n",
        "parts/lower.py": "from helpers import NAME\nfrom parts import deep\n",
        "parts/deep/__init__.py": "",
        "parts/deep/low.py": "from ..lower import NAME\n",
    }


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Make]:
    """Makes apps: `app("one")` has what `files_of` says, `app("one", files)` these files."""
    modules, path, apps = set(sys.modules), list(sys.path), []

    def make(name: str, files: dict[str, str] | None = None) -> App:
        made = App(tmp_path / name, files_of(name) if files is None else files)
        apps.append(made.space)
        return made

    yield make
    for space in apps:
        space.forget()
    apps.clear()
    sys.path[:] = path
    for left in set(sys.modules) - modules:
        del sys.modules[left]


STATEMENTS = {
    "import helpers": "helpers.NAME",
    "import helpers as h": "h.NAME",
    "from helpers import NAME": "NAME",
    "from helpers import *": "NAME",
    "import parts": "parts.NAME",
    "import parts.lower": "parts.lower.NAME",
    "import parts.deep.low": "parts.deep.low.NAME",
    "import parts.deep.low as low": "low.NAME",
    "from parts import lower": "lower.NAME",
    "from parts.deep import low": "low.NAME",
    "from parts.deep.low import NAME": "NAME",
    "import importlib; m = importlib.import_module('helpers')": "m.NAME",
    "import importlib; m = importlib.import_module('parts.deep.low')": "m.NAME",
    "import importlib; m = importlib.import_module('.low', 'parts.deep')": "m.NAME",
    "m = __import__('parts.deep.low')": "m.deep.low.NAME",
    "import importlib; m = importlib.__import__('helpers')": "m.NAME",
    "import pkgutil; m = pkgutil.resolve_name('helpers')": "m.NAME",
    "import pydoc; m = pydoc.locate('helpers')": "m.NAME",
    "exec('import helpers', d := {})": "d['helpers'].NAME",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_two_apps_have_their_own_module_of_one_name(app: Make, statement: str) -> None:
    one, other = app("one"), app("other")
    found = f"{statement}\nfound = {STATEMENTS[statement]}"

    assert one.run(found)["found"] == "one"
    assert other.run(found)["found"] == "other"
    assert one.run(found)["found"] == "one"


def test_a_name_that_one_app_offers_is_an_ordinary_module(app: Make) -> None:
    only = app("only", {"only_here.py": "class Thing: pass\n", "package_here/part.py": ""})

    found = only.run("import only_here, package_here.part\nfrom only_here import Thing")

    assert found["Thing"].__module__ == "only_here"
    assert sys.modules["only_here"] is found["only_here"]
    assert "package_here.part" in sys.modules


def test_ours_stays_ours(app: Make) -> None:
    one = app("one")

    found = one.run("import store, importlib\nbyname = importlib.import_module('store')")

    assert found["store"].NAME == found["byname"].NAME == "one"
    assert importlib.import_module("store") is store
    assert sys.modules["store"] is store
    assert importlib.import_module("store.contract") is contract


def test_an_installed_package_is_found_by_all_but_the_app(
    app: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "charts.py").write_text("NAME = 'installed'\n")
    (installed / "library.py").write_text(
        "import charts, importlib\ndef named(name): return importlib.import_module(name)\n"
    )
    monkeypatch.syspath_prepend(str(installed))
    one = app("one", {"charts.py": "NAME = 'one'\n", "helpers.py": "NAME = 'one'\n"})
    other = app("other", {"helpers.py": "NAME = 'other'\n"})
    # As Bokeh does around each run of a script.
    monkeypatch.syspath_prepend(str(one.directory))

    found = one.run("import charts, library\nfound = library.charts.NAME, charts.NAME")

    assert found["found"] == ("installed", "one")
    assert other.run("import charts")["charts"].NAME == "installed"
    with other.space.entered():
        assert found["library"].named("helpers").NAME == "other"
        assert found["library"].named("charts").NAME == "installed"
    assert one.run("found = library.named('helpers').NAME", **found)["found"] == "one"


def test_the_standard_library_stays(app: Make) -> None:
    one = app("with-types", {"types.py": "raise AssertionError('not this one')\n"})

    assert one.run("import types")["types"] is types


def test_an_environment_in_the_apps_directory_is_not_the_apps(
    app: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packages import what is installed, also where the app has a module of that name."""
    site = tmp_path / "one/venv/lib/site-packages"
    site.mkdir(parents=True)
    (site / "charts.py").write_text("NAME = 'installed'\n")
    (site / "library.py").write_text("import charts\n")
    monkeypatch.syspath_prepend(str(site))
    one = app("one", {"charts.py": "NAME = 'one'\n"})

    found = one.run("import charts, library")

    assert found["charts"].NAME == "one"
    assert found["library"].charts.NAME == "installed"


def test_a_directory_of_files_hides_no_package(app: Make) -> None:
    one = app("one", {"pytest/conf.py": ""})

    assert one.run("import pytest")["pytest"] is pytest


def test_a_package_that_is_installed_from_the_apps_directory_is_the_same(
    app: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `pip install --editable .`, with the sources in a folder or beside the app."""
    (tmp_path / "one/src").mkdir(parents=True)
    (tmp_path / "one/src/in_folder.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "one/src"))
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    one = app("one", {"beside.py": ""})

    found = one.run("import in_folder, beside")

    assert {found[name].__name__ for name in ("in_folder", "beside")} == {"in_folder", "beside"}


def test_folders_without_init_are_an_apps_own(app: Make) -> None:
    for name in ("one", "other"):
        made = app(name, {"folders/deep/part.py": f"NAME = {name!r}\n", "folders/text": name})
        found = made.run("import folders.deep.part as part, importlib.resources as resources")
        assert name == found["part"].NAME
        assert (
            made.run("text = resources.files('folders').joinpath('text').read_text()", **found)["text"]
            == name
        )


def test_apps_in_one_directory_share_their_modules(app: Make) -> None:
    one, again = app("one"), app("one")

    one.run("import helpers\nhelpers.ITEMS.append(1)")

    assert again.run("import helpers")["helpers"].ITEMS == [1]


@pytest.mark.parametrize("order", [".inner", "inner."])
def test_an_app_within_the_directory_of_another(app: Make, order: str) -> None:
    files = {"helpers.py": "NAME = 'outer'\n", "inner/helpers.py": "NAME = 'inner'\n"}
    if order == "inner.":
        inner = app("inner", {"helpers.py": files["helpers.py"]})
    outer, inner = app(".", files), app("inner", {})

    assert outer.run("import helpers")["helpers"].NAME == "outer"
    assert inner.run("import helpers")["helpers"].NAME == "inner"
    assert outer.run("import inner.helpers")["inner"].helpers.NAME == "inner"


def test_an_app_that_comes_later_takes_nothing_away(app: Make) -> None:
    one = app("one", {"latecomers.py": "NAME = 'one'\n"})
    first = one.run("import latecomers")["latecomers"]

    other = app("other", {"latecomers.py": "NAME = 'other'\n"})

    assert other.run("import latecomers")["latecomers"].NAME == "other"
    assert one.run("import latecomers")["latecomers"] is first


def test_what_is_missing_has_the_name_that_was_asked_for(app: Make) -> None:
    one, _ = app("one"), app("other")

    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'parts\.missing'") as caught:
        one.run("import parts.missing")

    assert caught.value.name == "parts.missing"


def test_code_of_no_app_gets_no_apps_module(app: Make) -> None:
    app("one"), app("other")

    with pytest.raises(ModuleNotFoundError):
        exec("import helpers", {"__file__": "/nowhere/at/all.py"})
    assert "helpers" not in sys.modules


def test_an_app_without_such_a_module_gets_none(app: Make) -> None:
    app("one"), app("other")
    third = app("third", {"main.py": ""})

    with pytest.raises(ModuleNotFoundError):
        third.run("import helpers")


WHOSE = """
import dataclasses, inspect, pickle, traceback, typing
from helpers import Order, fail, whose, __name__ as module

again = pickle.loads(pickle.dumps(Order(whose)))
called = pickle.loads(pickle.dumps(whose))()
hints = typing.get_type_hints(Order)
source = inspect.getsource(whose)
try:
    fail()
except ZeroDivisionError:
    trace = traceback.format_exc()
"""
ORDER = """
from __future__ import annotations
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class Order:
    made: Callable[[], str]
    count: ClassVar[int] = 0

def whose():
    return NAME

def fail():
    1 / 0

NAME = {!r}
"""


def test_modules_are_whole(app: Make) -> None:
    """For pickle, dataclasses, type hints, the source code and tracebacks."""
    for made in [app(name, {"helpers.py": ORDER.format(name)}) for name in ("one", "other")]:
        found = made.run(WHOSE)

        assert found["again"] == found["Order"](found["whose"])
        assert found["called"] == found["whose"]() == made.directory.name
        assert found["hints"].keys() == {"made", "count"}
        assert found["source"] == "def whose():\n    return NAME\n"
        assert f'{made.directory / "helpers.py"}", line 16, in fail' in found["trace"]


def test_threads_that_an_app_starts(app: Make) -> None:
    """They have no context: whose code it is says whose module is meant."""
    code = """
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module
    from threading import Thread

    found = []

    def look():
        import helpers
        found.append(helpers.NAME)
        found.append(import_module("parts").NAME)

    def wait():
        thread = Thread(target=look)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
    """
    one, other = app("one").run(code), app("other").run(code)

    Thread(target=one["wait"]).run()
    Thread(target=other["wait"]).run()

    assert one["found"] == ["one"] * 4
    assert other["found"] == ["other"] * 4


@pytest.fixture
def switching() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching")
def test_apps_that_run_at_the_same_moment_in_threads(app: Make) -> None:
    apps = [app(f"app{number}") for number in range(4)]
    code = "\n".join(f"{each}\nfound.add({STATEMENTS[each]})" for each in STATEMENTS)
    runs = apps * 2
    together = Barrier(len(runs))

    def build(each: App) -> set[str]:
        found: set[str] = set()
        together.wait()
        with each.space.entered():
            for _ in range(5):
                each.run(code + "\nimport store\nfound.add(store.NAME)", found=found)
                assert importlib.import_module("store") is store
        return found

    with ThreadPoolExecutor(len(runs)) as pool:
        assert list(pool.map(build, runs)) == [{each.directory.name} for each in runs]
    modules = [name for name in sys.modules if name.endswith(".helpers") and ".app" in name]
    assert len(modules) == len(apps)


def test_forgotten_modules_are_read_again(app: Make) -> None:
    one, other = app("one", {"helpers.py": "NAME = 1\n", "mine.py": "NAME = 1\n"}), app("other")
    before = one.run("import helpers, mine")
    stamps = [(one.directory / name).stat() for name in ("helpers.py", "mine.py")]
    one.write({"helpers.py": "NAME = 2\n", "mine.py": "NAME = 2\n"})
    # Saved within the same second and as long as before: Python's cached bytecode counts as fresh.
    for name, stamp in zip(("helpers.py", "mine.py"), stamps, strict=True):
        os.utime(one.directory / name, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    one.space.forget()

    after = one.run("import helpers, mine")
    assert (before["helpers"].NAME, before["mine"].NAME) == (1, 1)
    assert (after["helpers"].NAME, after["mine"].NAME) == (2, 2)
    assert other.run("import helpers")["helpers"].NAME == "other"
    assert after["helpers"].__name__ == before["helpers"].__name__


class ForgottenMeanwhile:
    """A finder that is asked just after the app's own, and before the module is there."""

    def __init__(self, app: App) -> None:
        self._app = app

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "slowly_found":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        self._app.space.forget()
        return spec


def test_what_was_about_to_be_imported_is_forgotten_the_next_time(app: Make) -> None:
    one = app("one", {"slowly_found.py": "NAME = 'one'\n"})
    sys.meta_path.insert(0, ForgottenMeanwhile(one))
    one.run("import slowly_found")
    one.write({"slowly_found.py": "NAME = 'another'\n"})

    one.space.forget()

    assert one.run("import slowly_found")["slowly_found"].NAME == "another"


def test_a_new_file_is_found_once_others_are_forgotten(app: Make) -> None:
    one, other = app("one"), app("other", {"later_on.py": "NAME = 'other'\n"})
    one.write({"later_on.py": "NAME = 'one'\n"})

    one.space.forget()

    assert one.run("import later_on")["later_on"].NAME == "one"
    assert other.run("import later_on")["later_on"].NAME == "other"


def test_sources_are_those_of_imported_modules(app: Make) -> None:
    one = app("one")
    assert list(one.space.sources()) == []

    one.run("import helpers")

    assert list(one.space.sources()) == ["NAME = 'one'\nITEMS = []\n"]


def test_nothing_stays_of_a_space_that_nobody_has(app: Make, tmp_path: Path) -> None:
    short = App(tmp_path / "short", {"short_lived.py": ""})
    short.run("import short_lived")
    assert str(short.directory) in sys.path

    del short
    gc.collect()

    assert "short_lived" not in sys.modules
    assert str(tmp_path / "short") not in sys.path


def test_no_directory_is_no_space() -> None:
    path = list(sys.path)
    space = ImportSpace(None)
    with space.entered():
        space.forget()
        assert list(space.sources()) == []
        assert sys.path == path


POOLS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

from service.apps.imports import ImportSpace

def in_app(directory, source):
    space = {"__file__": str(directory / "main.py"), "__name__": "bokeh_app_1"}
    exec(source, space)
    return space

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    spaces = [ImportSpace(folder / name) for name in ("one", "other")]
    found = []
    for name in ("one", "other"):
        statements = f"from helpers import Thing, named; from store import own; import {name}_jobs as jobs"
        app = in_app(folder / name, statements)
        with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[2])) as pool:
            for function in (app["named"], app["own"], app["jobs"].late):
                thing = pool.submit(function, app["Thing"](1)).result()
                assert type(thing) is app["Thing"], thing
                found.append(thing.value)
    print(*found)
"""
THING = """
class Thing:
    def __init__(self, value): self.value = value
def named(thing): return Thing({!r})
"""
OWN = "import helpers\ndef own(thing): return helpers.Thing('own of ' + {!r})\n"
LATE = "def late(thing):\n    import store\n    return store.own(thing)\n"


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_that_an_app_starts(tmp_path: Path, method: str) -> None:
    for name in ("one", "other"):
        files = {"helpers.py": THING.format(name), "store.py": OWN.format(name), f"{name}_jobs.py": LATE}
        (tmp_path / name).mkdir()
        for file, source in files.items():
            (tmp_path / name / file).write_text(source)
    script = tmp_path / "pools.py"
    script.write_text(POOLS)

    argv = [sys.executable, str(script), str(tmp_path), method]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert ran.stdout.strip() == "one own of one own of one other own of other own of other", ran.stderr
