"""What ``pn.cache`` and ``pn.state.as_cached`` get of the fleet with ``--panel-cache fleet``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from service.apps.panel_cache import CachedByPanel
from service.documents.arguments import key_of
from service.errors import FleetUnavailable
from service.fleet.caching import DEFAULT_MAX_BYTES, AppResults, Plan, Unstorable
from service.fleet.results import Wanted

__all__ = ("PanelCache",)

log = logging.getLogger(__name__)

AS_CACHED_NAME = "pn.state.as_cached"
"""All of an app's results by key are bounded together."""


class PanelCache:
    """For one app on this replica. What cannot be shared is left to Panel's own cache (``own``)."""

    def __init__(self, results: AppResults) -> None:
        self._results = results
        self._own: set[str] = set()
        """What has returned something that cannot be stored, by name."""

    def call(self, cached: CachedByPanel, args: Any, kwargs: Any) -> Any:
        wanted = self._of_function(cached, args, kwargs)
        if wanted is None:
            return cached.own(*args, **kwargs)
        try:
            # By way of Panel's cache: what cannot be shared is there then, and is not made a second time.
            found = self._results.call(wanted, lambda: cached.own(*args, **kwargs))
        except Unstorable as error:
            return self._left_to_panel(wanted.name.name, error)
        cached.own.clear()
        return found

    async def acall(self, cached: CachedByPanel, args: Any, kwargs: Any) -> Any:
        wanted = self._of_function(cached, args, kwargs)
        if wanted is None:
            return await cached.own(*args, **kwargs)
        try:
            found = await self._results.acall(wanted, lambda: cached.own(*args, **kwargs))
        except Unstorable as error:
            return self._left_to_panel(wanted.name.name, error)
        cached.own.clear()
        return found

    def by_key(
        self, key: Any, ttl: Any, kwargs: dict[str, Any], own: Callable[[], Any], clear: Callable[[], Any]
    ) -> Any:
        name = f"{AS_CACHED_NAME}({key!r})"
        try:
            digest = key_of(self._results.version, key, kwargs)
        except TypeError:
            return own()
        if name in self._own:
            return own()
        wanted = Wanted(self._results.name(AS_CACHED_NAME), digest, float(ttl or 0), DEFAULT_MAX_BYTES)
        try:
            found = self._results.call(wanted, own)
        except Unstorable as error:
            return self._left_to_panel(name, error)
        clear()
        return found

    def clear(self, cached: CachedByPanel) -> None:
        """On all replicas. Does not wait for it."""
        plan = self._plan(cached)
        if plan is not None:
            try:
                self._results.forget_soon(plan.name)
            except FleetUnavailable as error:
                log.warning("%s cannot be cleared on other replicas: %s", plan.name, error)

    def _of_function(self, cached: CachedByPanel, args: Any, kwargs: Any) -> Wanted | None:
        plan = self._plan(cached)
        if plan is None or plan.name in self._own:
            return None
        try:
            return plan.wanted(self._results, args, kwargs)
        except TypeError:  # of what has no content: Panel goes by identity then
            return None

    def _plan(self, cached: CachedByPanel) -> Plan | None:
        if cached.plan is None:
            try:
                cached.plan = Plan(cached.func, ttl=cached.ttl or None)
            except (TypeError, ValueError) as error:
                log.info("pn.cache: %s, so each replica caches it for itself", error)
                cached.plan = False
        return cached.plan or None

    def _left_to_panel(self, name: str, error: Unstorable) -> Any:
        if name not in self._own:
            self._own.add(name)
            log.info("%s, so each replica caches it for itself", error)
        return error.value
