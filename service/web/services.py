"""What handlers may ask: one bundle, handed to every route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.apps.app import App
from service.errors import Unavailable
from service.fleet.files import PeerFiles
from service.fleet.maintenance_mode import MaintenanceMode
from service.fleet.relay import ReplicaClient
from service.fleet.routing import Router
from service.metrics import Metrics
from service.page_versions import PageVersions
from service.sessions.build_timeouts import BuildTimeouts
from service.sessions.history import SessionHistory
from service.sessions.registry import Registry
from service.settings import WebSettings
from service.tokens import TokenAuthority
from service.tracing import Tracing
from service.web.auth import Auth
from service.web.keep_alive import KeepAlive
from service.web.origins import OriginPolicy
from service.web.rendered import RenderedPages
from service.web.resources import PageResources
from service.web.reused_pages import ReusedPages
from service.web.websocket import Socket
from store.contract import Store

__all__ = ("Services",)


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts of a running server. ``tokens`` and ``started`` are set once the store answered."""

    settings: WebSettings
    replica: str
    apps: Mapping[str, App]
    store: Store
    registry: Registry
    history: SessionHistory
    timeouts: BuildTimeouts
    router: Router
    replica_client: ReplicaClient
    files: PeerFiles
    versions: PageVersions
    """What pages are made with here."""
    installed: Mapping[str, str]
    """Versions of Bokeh and of all installed Bokeh extensions."""
    origins: OriginPolicy
    resources: PageResources
    auth: Auth
    metrics: Metrics
    tracing: Tracing
    clock: Callable[[], float]
    """Wall-clock seconds on which all replicas agree."""
    keep_alive: KeepAlive
    maintenance: MaintenanceMode
    reused: ReusedPages | None
    """Where pages of Panel are drawn once for many (``--reuse-sessions``)."""
    developing: bool
    """Whether pages show what is wrong with the app's code (``--dev``)."""
    rendered: RenderedPages = field(default_factory=RenderedPages)
    websockets: set[Socket] = field(default_factory=set)
    """All that are open."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _authority: TokenAuthority | None = field(default=None, init=False)
    _unfit: str | None = field(default=None, init=False)
    _draining: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    @property
    def ready(self) -> bool:
        """Whether all parts are running."""
        return self.started.is_set()

    @property
    def tokens(self) -> TokenAuthority:
        """Raises :class:`Unavailable` until the secret was agreed upon through the store."""
        if self._authority is None:
            raise Unavailable("the server waits for its store")
        return self._authority

    def sign_with(self, authority: TokenAuthority) -> None:
        self._authority = authority

    @property
    def unfit(self) -> str | None:
        """Why this server cannot make sessions, whichever the app."""
        return self._unfit

    def is_unfit(self, why: str) -> None:
        self._unfit = why

    @property
    def draining(self) -> bool:
        """Going away, and not ready for new traffic, but still serving."""
        return self._draining

    def begin_to_drain(self) -> None:
        self._draining = True

    @property
    def closed(self) -> bool:
        """Its sessions are moving away; nothing new may begin here."""
        return self._closed

    def close(self) -> None:
        self._closed = True
