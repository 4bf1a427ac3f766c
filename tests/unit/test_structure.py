"""Rules about the code itself which the import contract cannot say, and what goes into the wheel.

Bokeh's internals change without notice. What we know about them stays in three packages, so that a
new Bokeh is read against three directories and not against everything.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from pkgutil import resolve_name

import pytest

from service.patches import PATCHES, install_patches

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "store", "svc")
MODULES = {
    path.relative_to(ROOT): ast.parse(path.read_text())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
MAY_KNOW_INTERNALS = (Path("service/documents"), Path("service/apps"), Path("service/lines"))
MAY_KNOW_REDIS_PY = Path("store/addresses.py")  # how it connects, which has no public way to be changed
# In service/memory.py glibc's own variables, which are no options of ours.
MAY_READ_THE_ENVIRONMENT = (Path("service/cli"), Path("service/embedding.py"), Path("service/memory.py"))


def outside(*packages: Path) -> dict[Path, ast.Module]:
    return {
        path: tree
        for path, tree in MODULES.items()
        if not any(path.is_relative_to(package) for package in packages)
    }


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_reaches(tree: ast.Module) -> Iterator[ast.AST]:
    """Private attributes and names taken from anything but the module's own classes and objects."""
    own = {"self", "cls"} | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=attr) if is_private(attr):
                if not (isinstance(value, ast.Name) and value.id in own):
                    yield node
            case ast.ImportFrom(module=module, names=names):
                if any(map(is_private, (module or "").split("."))) or any(is_private(n.name) for n in names):
                    yield node
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ):
                if is_private(name):
                    yield node


def patches(tree: ast.Module) -> Iterator[ast.AST]:
    """Assignments to attributes of what the module imported."""
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) if root_name(node) in imported:
                yield node
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[target, *_]) if (
                root_name(target) in imported
            ):
                yield node


def foreign_fields(tree: ast.Module) -> Iterator[ast.AST]:
    """Assignments to attributes of what is called a session, an app, or services."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = ast.unparse(node.value).rpartition(".")[2].lstrip("_")
            if owner in ("app", "services", "session", "slot"):
                yield node


def root_name(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)


def found_in(modules: dict[Path, ast.Module], rule: Callable[[ast.Module], Iterator[ast.AST]]) -> list[str]:
    return [
        f"{path}:{getattr(node, 'lineno', '?')}: {ast.unparse(node)}"
        for path, tree in modules.items()
        for node in rule(tree)
    ]


# -- rules ---------------------------------------------------------------------------------------


def test_the_rules_find_what_they_forbid() -> None:
    tree = ast.parse(
        "import bokeh.model as m\nfrom bokeh.io import doc, _x\n"
        "m.make_id = 1\ndel doc._stack\nsetattr(m, 'x', 1)\ngetattr(doc, '_y', None)\n"
        "class A:\n def f(self): self._fine = A._fine\n"
        "self._app.broken = session.lost = 'no'\n"
    )

    assert [getattr(node, "lineno", 0) for node in private_reaches(tree)] == [2, 4, 6]
    assert sorted(getattr(node, "lineno", 0) for node in patches(tree)) == [3, 4, 5]
    assert [ast.unparse(node) for node in foreign_fields(tree)] == ["self._app.broken", "session.lost"]


def test_close_codes_are_written_out_in_one_module() -> None:
    def close_codes(tree: ast.Module) -> Iterator[ast.AST]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and type(node.value) is int and 1001 <= node.value <= 1015:
                yield node

    assert found_in(outside(Path("service/close_codes.py")), close_codes) == []


def test_private_attributes_of_others_are_touched_in_three_packages_only() -> None:
    assert found_in(outside(*MAY_KNOW_INTERNALS, MAY_KNOW_REDIS_PY), private_reaches) == []


def test_patches_are_in_three_packages_only() -> None:
    assert found_in(outside(*MAY_KNOW_INTERNALS), patches) == []


def test_every_module_that_patches_is_in_the_table() -> None:
    """The lines of Bokeh are called by ``curdoc`` and ``process_state``."""
    listed = {getattr(each.module, "__name__", "") for each in PATCHES}

    def patching(tree: ast.Module) -> Iterator[ast.AST]:
        yield from patches(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "when_imported":
                yield node

    found = {
        ".".join(path.with_suffix("").parts)
        for path, tree in MODULES.items()
        if any(patching(tree)) and not path.is_relative_to("service/lines")
    }
    assert sorted(found - listed) == []


def test_patches_are_in_and_have_a_test() -> None:
    install_patches()

    for patch in PATCHES:
        assert (ROOT / "tests" / patch.test).exists()
        if patch.install is not None and patch.when == "always":
            replaced = [target for target in patch.targets if not is_ours(target)]
            assert replaced == [], patch.module


def is_ours(target: str) -> bool:
    """Whether what has this name was made by the service, or the installed line has nothing of the name."""
    owner, _, name = target.rpartition(".")
    found = getattr(resolve_name(owner), name, None)
    return found is None or (getattr(found, "__module__", None) or "").startswith("service.")


def test_nobody_sets_a_field_of_a_session_an_app_or_the_services() -> None:
    """They have methods for what may be changed. (In the admin page what is called an app is a widget.)"""
    assert found_in(outside(Path("service/admin")), foreign_fields) == []


def test_of_bokehs_server_only_the_callback_types_are_used() -> None:
    used = {
        (str(path), name)
        for path, tree in MODULES.items()
        for name in imports(tree)
        if f"{name}.".startswith("bokeh.server.")
    }

    assert {name for _, name in used if not name.startswith("bokeh.server.callbacks.")} == set()


def test_the_environment_is_read_at_the_edge_only() -> None:
    def reads(tree: ast.Module) -> Iterator[ast.AST]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                yield node

    assert found_in(outside(*MAY_READ_THE_ENVIRONMENT), reads) == []


@pytest.mark.parametrize("path", [path for path, tree in MODULES.items() if tree.body], ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(MODULES[path])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "store" / "lua").glob("[!_]*.lua")), ids=lambda path: path.name
)
def test_every_script_names_its_keys(path: Path) -> None:
    comments = [line for line in path.read_text().splitlines() if line.startswith("--")]

    assert any(line.startswith("-- KEYS[1]") for line in comments)


# -- the wheel -----------------------------------------------------------------------------------

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_directory_with_code_is_a_package_and_goes_into_the_wheel() -> None:
    directories = {path.parent for path in MODULES}

    assert [each for each in directories if not (ROOT / each / "__init__.py").exists()] == []
    assert {each.parts[0] for each in directories} == set(PACKAGES)
    assert SETUPTOOLS["packages"]["find"]["include"] == ["service*", "store*", "svc"]


def test_every_other_file_of_the_packages_goes_into_the_wheel() -> None:
    files = [path.relative_to(ROOT) for package in PACKAGES for path in data_files(ROOT / package)]

    assert {Path("store/lua/claim.lua"), Path("service/web/templates/index.html")} <= set(files)
    assert [path for path in files if not is_packaged(path)] == []


def data_files(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path


def is_packaged(path: Path) -> bool:
    """Whether a pattern of package-data names it (patterns are relative to their package)."""
    for package, patterns in SETUPTOOLS["package-data"].items():
        directory = Path(*package.split("."))
        if path.is_relative_to(directory):
            within = path.relative_to(directory)
            if any(fnmatch(str(within), each) and within.parent == Path(each).parent for each in patterns):
                return True
    return False


# -- the tests -----------------------------------------------------------------------------------


def test_no_two_test_modules_have_one_name() -> None:
    """Outside packages pytest knows modules by their name alone, and collects neither of two."""
    modules = [
        path for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()
    ]
    counts = Counter(path.name for path in modules)

    assert [name for name, count in counts.items() if count > 1] == []


def test_log_messages_leave_the_session_to_the_lines_own_field() -> None:
    """``extra=key.facts``; a ``%s`` for it would say it twice."""
    found = [
        f"{path}:{call.lineno}"
        for path, tree in MODULES.items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("log.")
        if any(isinstance(arg, ast.Attribute) and arg.attr == "short" for arg in call.args)
    ]

    assert found == []
