"""What ``panel serve`` (1.9 and 1.10) tells Panel for the whole process: here once something imports it.

Apps without Panel do not pay for it.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Self

from service.apps.when_imported import imported, when_imported
from service.errors import ConfigError

__all__ = ("PanelSettings", "check_page_config", "tell_panel")

_CONFIG = "panel.config"
_STATE = "panel.io.state"
_PROFILE = "panel.io.profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSettings:
    """By the names of ``panel.config``, but for ``root_path``, which becomes ``pn.state.base_url``."""

    global_loading_spinner: bool = False
    session_history: int = 0
    page_config: str | None = None
    profiler: str | None = None
    root_path: str | None = None


_applied = [PanelSettings()]


def tell_panel(settings: PanelSettings) -> None:
    """From here on, in all sessions that do not say otherwise. Cheap where Panel is not imported."""
    _applied[:] = [settings]
    when_imported(_CONFIG, _tell)
    if (module := imported(_CONFIG)) is not None:
        _tell(module)  # also of a further server, of which Panel was not told as it was imported
    if settings.profiler is not None:
        when_imported(_PROFILE, _guard_profiler)


def check_page_config(text: str) -> None:
    """Imports Panel. Raises ConfigError."""
    try:
        pages = importlib.import_module("panel.io.pages")
    except ImportError:
        raise ConfigError("--page-config is for the pages of Panel 1.10, which is not installed") from None
    try:
        pages.load_page_config(text)
    except ValueError as error:
        raise ConfigError(f"--page-config: {error}") from None


def _tell(module: Any) -> None:
    # Whoever imports Panel may be a session, and what is set there is of that session alone.
    Context().run(_set, module.config, sys.modules[_STATE].state, _applied[0])


def _set(config: Any, state: Any, told: PanelSettings) -> None:
    # A program that embeds this server may have set them itself.
    if told.global_loading_spinner:
        config.global_loading_spinner = True
    if told.session_history:
        config.session_history = told.session_history
    if told.profiler is not None:
        config.profiler = told.profiler
        state._profiles = defaultdict(_Latest)
    if told.page_config is not None:
        config.page_config = told.page_config
    if told.root_path is not None:
        with importlib.import_module("panel.util").edit_readonly(state):
            state.base_url = told.root_path + "/"


_profiling = threading.Lock()

PROFILES_KEPT = 50
"""Of each app; Panel itself keeps all."""


class _Latest(list[Any]):
    """The profiles of one app."""

    def __iadd__(self, more: Iterable[Any]) -> Self:  # type: ignore[misc] # lists can be added, too
        self.extend(more)
        del self[:-PROFILES_KEPT]
        return self


def _guard_profiler(profile: Any) -> None:
    """Python has one profiler at a time for all threads: of runs side by side one is profiled.

    Panel (1.9 and 1.10) fails where two are, and after a run that failed leaves its profiler on.
    """
    begin = profile.profile_ctx

    @contextmanager
    def profile_ctx(engine: str | None = "pyinstrument") -> Iterator[list[Any]]:
        if engine is None or not _profiling.acquire(blocking=False):
            yield []
            return
        try:
            with ExitStack() as stack:
                profiling = begin(engine)
                sessions = profiling.__enter__()
                stack.callback(profiling.__exit__, None, None, None)
                yield sessions
        finally:
            _profiling.release()

    profile.profile_ctx = profile_ctx
