"""Panel's own admin page (1.9 and 1.10) with the profiles of ``--profiler``: about this process alone."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from bokeh.application.handlers import FunctionHandler

from service.apps.app import App
from service.apps.imports import ImportSpace
from service.errors import ConfigError

__all__ = ("panels_admin_app",)


def panels_admin_app(path: str, profiler: str) -> App:
    """Panel's own admin page at ``path``, about this process. Imports Panel. Raises ConfigError."""
    if importlib.util.find_spec(profiler) is None:
        raise ConfigError(f"--profiler {profiler}: the package {profiler} is not installed")
    try:
        panel: Any = importlib.import_module("panel.io.application")
        build = importlib.import_module("panel.io.admin").admin_panel
    except ImportError as error:
        raise ConfigError(f"--profiler is for Panel apps, and Panel cannot be used: {error}") from None
    return App(path, panel.Application(FunctionHandler(build)), ImportSpace(None), for_operators=True)
