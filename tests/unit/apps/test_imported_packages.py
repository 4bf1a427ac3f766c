"""What an app imports is found without running it: also through its own modules and installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.apps.imported_packages import imports_any

PANEL = frozenset({"panel"})


@pytest.mark.parametrize(
    "source",
    [
        "import panel",
        "import os, panel as pn",
        "import panel.io as io",
        "from panel import state",
        "def build():\n    import panel",
        "try:\n    import panel\nexcept ImportError:\n    panel = None",
        "import holoviews as hv",  # which requires it
    ],
)
def test_each_way_to_import_it(source: str) -> None:
    assert imports_any([source], None, PANEL)


@pytest.mark.parametrize(
    "source",
    ["import bokeh", "# import panel", "a = 'import panel'", "import panels", "from .panel import x", "x :"],
)
def test_nothing_else_counts(source: str) -> None:
    assert not imports_any([source], None, PANEL)


def test_the_app_s_own_modules_are_followed(tmp_path: Path) -> None:
    (tmp_path / "board.py").write_text("import shared.charts\nimport board")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/__init__.py").write_text("")
    (tmp_path / "shared/charts.py").write_text("from board import x\nimport panel")
    (tmp_path / "unused.py").write_text("import panel")

    assert imports_any(["import board"], tmp_path, PANEL)
    assert not imports_any(["import os"], tmp_path, PANEL)


def test_a_package_distributed_under_another_name_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "corporate_charts").mkdir()
    (tmp_path / "corporate_charts/__init__.py").write_text("import panel as pn")

    assert imports_any(["from corporate_charts import board"], None, PANEL)


def test_the_app_s_own_module_wins_over_a_package_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "holoviews.py").write_text("import os")

    assert not imports_any(["import holoviews"], tmp_path, PANEL)
