"""Endpoints that ``panel serve`` (1.9 and 1.10) has for machines: ``--liveness``, ``--rest-session-info``."""

from __future__ import annotations

import json
from typing import Any

from tornado.web import HTTPError, RequestHandler

from service.errors import AppLoadError
from service.probe import warm
from service.sessions.history import added_up
from service.web.base import BaseHandler
from service.web.services import Services
from service.web.static import check_replica
from store.errors import StoreError

__all__ = ("SESSION_INFO_PATH", "LivenessHandler", "SessionInfoHandler")

SESSION_INFO_PATH = "/session_info"


class LivenessHandler(BaseHandler):
    """That the process lives; with ``?endpoint=/app`` that this app runs, as it then does for nobody."""

    async def get(self) -> None:
        endpoint = self.get_argument("endpoint", None)
        if endpoint is not None:
            await self._try(endpoint)
        self.set_header("Cache-Control", "no-store")
        self.finish({self.request.path if endpoint is None else endpoint: True})

    async def prepare(self) -> None:
        """A process that starts, or stops, lives as well."""

    async def _try(self, endpoint: str) -> None:
        app = self.services.apps.get(endpoint)
        if app is None or app.for_operators:
            raise HTTPError(400, "there is no app at that endpoint")
        await super().prepare()
        try:
            await warm(app)
        except AppLoadError as error:
            raise HTTPError(500, str(error)) from error


class SessionInfoHandler(RequestHandler):
    """The sessions of all replicas; with ``for_replicas`` those of this one, for the others.

    ``legacy`` is what Panel 1.9 calls it, and how that wraps it.
    """

    def initialize(self, services: Services, legacy: bool = False, for_replicas: bool = False) -> None:
        self._services = services
        self._legacy = legacy
        self._for_replicas = for_replicas

    def prepare(self) -> None:
        if self._for_replicas:
            check_replica(self.request, self._services, SESSION_INFO_PATH)

    async def get(self) -> None:
        info = self._services.history.info
        if not self._for_replicas:
            info = added_up([info, *await self._of_others()])
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"session_info": info} if self._legacy else info))

    def head(self) -> None:
        self.set_header("Content-Type", "application/json")

    async def _of_others(self) -> list[Any]:
        try:
            return [json.loads(each) for each in await self._services.files.of_each(SESSION_INFO_PATH)]
        except StoreError as error:
            raise HTTPError(503, "the session store does not answer") from error
