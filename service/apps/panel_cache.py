"""``pn.cache`` and ``pn.state.as_cached`` (panel 1.9 and 1.10) once for the fleet (``--panel-cache fleet``).

Panel's own cache gives all sessions of a process one object, of any kind; what the fleet shares is a copy for
each caller, of data. What cannot be shared, or is meant for one session or one disk, stays with Panel.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import update_wrapper, wraps
from types import ModuleType
from typing import Any

from service.apps.contexts import current_app
from service.apps.when_imported import when_imported

__all__ = ("CachedByPanel", "install")

_OWN = ("hash_funcs", "to_disk", "per_session")
"""Options with which a function's results are Panel's matter."""


def install() -> None:
    """Idempotent, and without effect on apps without Panel and on those whose server does not ask for it."""
    when_imported("panel.io.cache", _share_functions)
    when_imported("panel.io.state", _share_keys)


def _share_functions(module: ModuleType) -> None:
    panel_cache = module.cache
    signature = inspect.signature(panel_cache)

    @wraps(panel_cache)
    def cache(func: Any = None, *args: Any, **kwargs: Any) -> Any:
        if func is None:
            return lambda func: cache(func, *args, **kwargs)
        options = signature.bind(func, *args, **kwargs).arguments
        own = panel_cache(func, *args, **kwargs)
        if _is_method(func) or any(options.get(name) for name in _OWN):
            return own
        return _shared(func, own, options.get("ttl"))

    module.cache = cache  # type: ignore[attr-defined]
    for name in ("panel", "panel.io"):  # where it was imported before this server was made
        holder = sys.modules.get(name)
        if holder is not None and vars(holder).get("cache") is panel_cache:
            holder.cache = cache  # type: ignore[attr-defined]


def _is_method(func: Any) -> bool:
    """Its object says nothing that would be the same on another replica; Panel looks at its parameters."""
    return "." in str(getattr(func, "__qualname__", "")).rpartition("<locals>.")[2]


class CachedByPanel:
    """A function that ``pn.cache`` was given."""

    def __init__(self, func: Callable[..., Any], own: Any, ttl: float | None) -> None:
        self.func = func
        self.own = own
        """What Panel has made of it."""
        self.ttl = ttl
        self.plan: Any = None
        """How the fleet keeps its results, once that is known; False where it cannot."""


def _shared(func: Callable[..., Any], own: Any, ttl: float | None) -> Any:
    cached = CachedByPanel(func, own, ttl)
    wrapper: Any
    if inspect.iscoroutinefunction(func):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            fleet = _cache_of_fleet()
            if fleet is None:
                return await own(*args, **kwargs)
            return await fleet.acall(cached, args, kwargs)
    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            fleet = _cache_of_fleet()
            if fleet is None:
                return own(*args, **kwargs)
            return fleet.call(cached, args, kwargs)

    def clear() -> None:
        own.clear()
        if (fleet := _cache_of_fleet()) is not None:
            fleet.clear(cached)

    update_wrapper(wrapper, own)
    wrapper.clear = clear
    return wrapper


def _share_keys(module: ModuleType) -> None:
    kind: Any = type(module.state)
    panel_as_cached = kind.as_cached

    @wraps(panel_as_cached)
    def as_cached(self: Any, key: str, fn: Any, ttl: Any = None, **kwargs: Any) -> Any:
        fleet = _cache_of_fleet()
        if fleet is None:
            return panel_as_cached(self, key, fn, ttl, **kwargs)
        return fleet.by_key(
            key,
            ttl,
            kwargs,
            lambda: panel_as_cached(self, key, fn, ttl, **kwargs),
            lambda: self.cache.pop((key, *sorted(kwargs.items())), None),
        )

    kind.as_cached = as_cached


def _cache_of_fleet() -> Any:
    """What caches for the app whose code this is; None where that is Panel."""
    app = current_app.get()
    return None if app is None or app.results is None else app.results.panel
