"""The documentation says what the code says: generated tables, links, commands."""

from __future__ import annotations

import re
from pathlib import Path

import generate_docs
import pytest
from bokeh.models import Div, Slider
from harness.runs import Run, app_of

from service.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(
        path for place in ("docs", "examples", "loadtests", "k8s") for path in (ROOT / place).rglob("*.md")
    ),
]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_generated_parts_are_up_to_date() -> None:
    stale = [str(path.relative_to(ROOT)) for path in generate_docs.stale()]

    assert stale == [], "run: make docs"


def test_every_generated_part_is_somewhere() -> None:
    text = "".join(page.read_text() for page in PAGES)

    assert set(re.findall(r"<!-- generated: (\w+) -->", text)) == set(generate_docs.PARTS)


async def test_the_first_app_does_what_it_says(tmp_path: Path) -> None:
    found = re.search(r"```python\n(# squares\.py.*?)```", (ROOT / "docs/apps.md").read_text(), re.DOTALL)
    assert found
    app = tmp_path / "squares.py"
    app.write_text(found[1])
    run = await Run.begin(app_of(str(app)))
    slider = run.session.document.select_one({"type": Slider})
    assert slider is not None

    change = {"kind": "ModelChanged", "model": slider.ref, "attr": "value", "new": 5}
    await run.patched({"events": [change]})

    square = run.session.document.select_one({"type": Div})
    assert square is not None
    assert square.text == "25"
    await run.end()


@pages
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]

    assert broken == []


def test_the_site_has_all_pages_in_its_navigation() -> None:
    listed = re.findall(r"^ +- (?:.+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}

    assert docs <= set(listed), "add them to `nav` in mkdocs.yml"
    assert len(listed) == len(set(listed))


@pages
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
    assert set(re.findall(r"`svc ([a-z]+)", text)) <= set(COMMANDS)


def links(page: Path) -> list[str]:
    """The targets of the page's links, but for those that lead out of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
