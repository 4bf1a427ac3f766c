"""A hook of MkDocs, see mkdocs.yml: pages of what lies outside of docs/, and of what ``svc`` exports.

Pages are written for the repository, where links lead to files. A Markdown file that one leads to becomes a
page of the site, any other file a page that shows it, a folder a page that lists it. A link to a file that is
not there is left as it is, for MkDocs to complain about.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
START = ROOT / "README.md"

# Pages of the API, each with the module whose public names it documents.
REFERENCE = {
    "reference/svc.md": "service",
    "reference/fleet.md": "service.fleet",
    "reference/asgi.md": "service.asgi",
}

_REFERENCE_PAGE = """# {1}

::: {0}
    options:
      show_root_heading: false
      show_root_toc_entry: false
"""
_ROLE = re.compile(r":(?:attr|class|func|meth|mod):<code>~?")
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LANGUAGES = {".py": "python", ".sh": "bash", ".ipynb": "json", ".yaml": "yaml", ".conf": "nginx"}


def on_files(files: Files, config: Any) -> Files:
    for path in _reachable():
        if not path.is_relative_to(DOCS):
            files.append(File.generated(config, _page_of(path), content=_content(path)))
    for page, module in REFERENCE.items():
        content = _REFERENCE_PAGE.format(module, _imported_as(module))
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    path = _PATHS.get(page.file.src_uri)
    if path is None or path.suffix != ".md":
        return markdown
    here = posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = _target(path, link[2])
        if target is None:
            return link[0]
        return link[1] + posixpath.relpath(_page_of(target), here or ".") + link[3]

    return "".join(
        part if part.startswith("```") else _LINK.sub(moved, part) for part in _FENCED.split(markdown)
    )


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Without the roles that docstrings have for Sphinx, of which Markdown knows nothing."""
    return _ROLE.sub("<code>", html)


def _imported_as(module: str) -> str:
    return module.replace("service", "svc", 1)


def _reachable() -> list[Path]:
    """The files and folders of the repository that pages lead to, and the pages themselves."""
    waiting = [START, ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
    found: dict[Path, None] = {}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting += _targets(path)
    return sorted(found)


def _targets(path: Path) -> Iterator[Path]:
    if path.suffix == ".md":
        for link in _LINK.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
            target = _target(path, link[1])
            if target is not None:
                yield target
    elif path.is_dir():
        yield from _listed(path)


def _target(page: Path, link: str) -> Path | None:
    if re.match(r"[a-z]+:", link):
        return None
    target = (page.parent / link).resolve()
    if target.is_dir() and (target / "README.md").exists():
        return target / "README.md"
    return target if target.exists() and target.is_relative_to(ROOT) else None


def _page_of(path: Path) -> str:
    """Where the site has what is at ``path``."""
    if path == START:
        return "index.md"
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        return f"{name}/index.md"
    return name if path.suffix in (".md", ".png", ".svg") else f"{name}.md"


def _content(path: Path) -> str | bytes:
    if path.suffix in (".png", ".svg"):
        return path.read_bytes()
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    beginning = f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n"
    if path.is_dir():
        names = [(each.name, posixpath.relpath(_page_of(each), name)) for each in _listed(path)]
        return beginning + "".join(f"- [{each}]({link})\n" for each, link in names)
    text = path.read_text(encoding="utf-8")
    return f"{beginning}````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def _listed(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.name.startswith(("_", ".")))


_PATHS = {_page_of(path): path for path in _reachable()}
