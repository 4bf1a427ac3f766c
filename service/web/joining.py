"""Who answers a browser's WebSocket: its session's connection, a relay to the owner, or a notice why not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from itertools import count

from tornado.websocket import WebSocketClosedError

from service.apps.app import App
from service.background import spawn
from service.close_codes import RELAY_LOST
from service.documents.shape import extensions_of
from service.errors import AppError, NotAuthorized, SessionMoved, SessionParked, SessionUnknown
from service.fleet.link import RelayLink
from service.metrics import Metrics
from service.page_versions import PageVersions
from service.protocol.messages import Frame, Frames
from service.sessions.connection import Connection
from service.sessions.notice import Notice, app_failed, app_updated, session_ended, session_parked
from service.sessions.registry import SessionSlot
from service.sessions.slot import Slot
from service.tokens import VerifiedToken
from service.web.base import failure_of
from service.web.maintenance import check_maintenance
from service.web.services import Services
from service.web.websocket import Socket
from store.contract import PageRequest, SessionKey
from store.errors import StoreError

__all__ = ("Arrival", "answer_with_notice", "join", "make_ready", "shows")

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
"""How often a session is looked for that leaves just as it was found."""


class Arrival:
    """The socket of a page of ``app``, whose token was verified.

    ``own_request`` gives what the session may be begun with when there is no handoff, if anything.
    """

    def __init__(
        self,
        services: Services,
        app: App,
        token: VerifiedToken,
        own_request: Callable[[], PageRequest | None],
    ) -> None:
        self.key = SessionKey(app.path, token.session_id)
        self._services = services
        self._app = app
        self._token = token
        self._own_request = own_request

    async def opened(self, websocket: Socket) -> None:
        """Whoever answers this socket is found."""
        key = self.key
        try:
            with self._span(key, await self._page_view(key)):
                await self._join(key, websocket)
        except NotAuthorized as error:
            log.warning("refusing a WebSocket: %s", error)
            websocket.close(error.close_code, str(error))
        except AppError as error:
            answer_with_notice(app_failed(websocket, error, developing=self._services.developing), websocket)
        except (SessionUnknown, SessionParked) as error:
            log.warning("refusing a WebSocket: %s", error)
            if self._token.minted_by_us:
                answer_with_notice(_notice(error, websocket), websocket)
            else:
                websocket.close(error.close_code, str(error))
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            log.warning("refusing a WebSocket: %s", failure)
            websocket.close(failure.close_code, str(failure))

    def _span(self, key: SessionKey, parent: str) -> AbstractContextManager[None]:
        tracing = self._services.tracing
        return tracing.span("socket", parent=parent, kind="server", app=key.app, session=key.short)

    async def _page_view(self, key: SessionKey) -> str:
        """The span of the page that this socket is of, if it is known (any more) and somebody cares."""
        if not self._services.tracing.on:
            return ""
        try:
            handoff = await self._services.store.handoff(key, self._token.token_id)
        except StoreError as error:
            log.debug("starting a new trace: %s", error)
            return ""
        return "" if handoff is None else handoff.trace

    async def _join(self, key: SessionKey, websocket: Socket) -> None:
        """Also where the session leaves in this moment.

        For BokehJS (3.9 and 3.10) gives a page up whose first connection is closed before it is answered.
        """
        tries = count(1)
        while True:
            generation = self._app.generation
            try:
                await self._join_once(key, websocket)
            except AppError:
                if self._app.generation == generation:  # else it is the old code that failed
                    raise
            except SessionMoved:
                if next(tries) == MAX_ATTEMPTS or self._services.closed:
                    raise
            else:
                return

    async def _join_once(self, key: SessionKey, websocket: Socket) -> None:
        page, own_request = self._token.page, self._own_request()
        if own_request is not None and not self._app.for_operators:  # a client without a page of ours
            await check_maintenance(self._services, key, named=True)
        found = await self._services.router.session(key, self._token.token_id, own_request, page)
        if isinstance(found, Slot):
            await make_ready(found, page, self._services)
        if not websocket.open:
            if isinstance(found, RelayLink):
                found.close()
        elif isinstance(found, Slot):
            join(found, websocket, self._token.token_id, page, self._services)
        else:
            websocket.begin(RelayPeer(found))
            spawn(forward_frames(found, websocket, self._services.metrics))


class RelayPeer:
    """Passes a browser's frames on to the owner."""

    __slots__ = ("_link",)

    def __init__(self, link: RelayLink) -> None:
        self._link = link

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        try:
            return self._link.send(frame)
        except WebSocketClosedError:
            log.debug("dropping a frame for a closed relay")
            return None

    async def closed(self) -> None:
        self._link.close()


async def forward_frames(link: RelayLink, websocket: Socket, metrics: Metrics) -> None:
    """Pass the owner's frames on to the browser until one of them closes."""
    with metrics.relays.track_inprogress():
        while (frame := await link.receive()) is not None:
            websocket.send(Frames((frame,)))
            if websocket.unsent:
                await websocket.drained()
        websocket.close(link.close_code or RELAY_LOST.code, link.close_reason or RELAY_LOST.reason)


async def make_ready(slot: SessionSlot, page: PageVersions | None, services: Services) -> None:
    """Wake the session where its record cannot be shown, or not to this page. Raises as Slot.awake."""
    if not shows(slot, page, services):
        await slot.awake()


def shows(slot: SessionSlot, page: PageVersions | None, services: Services) -> bool:
    """Whether the page can be shown the session as it is, also where it sleeps."""
    return not slot.hidden and (page is None or page.made_as(services.versions))


def join(
    slot: SessionSlot, websocket: Socket, token_id: str, page: PageVersions | None, services: Services
) -> None:
    """Let a session answer, or say that the page is too old for it.

    After :func:`make_ready`. Raises SessionMoved when it has ended since.
    """
    outdated = services.rendered.is_outdated(token_id, _generation(slot, services))
    if page is not None and (outdated or not fits(page, slot, services)):
        log.info("telling a page made with %s to reload", page.text, extra=slot.key.facts)
        answer_with_notice(app_updated(websocket, slot.key, embedded=page.embedded), websocket)
        return
    limit = services.settings.websocket_max_message_size
    keeps_buffers = page is not None and page.keeps_buffers
    connection = Connection(
        slot, websocket, token_id,
        meter=services.metrics.app(slot.key.app), max_bytes=limit, keeps_buffers=keeps_buffers,
        is_page=page is not None,
    )  # fmt: skip
    connection.open()
    websocket.begin(connection)


def _generation(slot: SessionSlot, services: Services) -> int:
    """Of the code that made what is shown; records are shown of the present code only."""
    return services.apps[slot.key.app].generation if slot.session is None else slot.session.generation


def fits(page: PageVersions, slot: SessionSlot, services: Services) -> bool:
    """Whether the page can show the session, and need not say what restoring lost.

    BokehJS of another version only warns, and draws all that Bokeh itself has; what an extension's models
    look like changes from release to release.
    """
    if page.made_as(services.versions):
        return True
    session = slot.session
    if session is None:
        raise SessionMoved("the session has just left this replica, or fallen asleep")
    if session.pages.losses and not page.embedded:
        return False
    drawn_with = extensions_of(session.document) & services.installed.keys()
    return page.has_extensions_of(services.versions) or not drawn_with


def _notice(error: SessionUnknown | SessionParked, websocket: Socket) -> Notice:
    if isinstance(error, SessionParked):
        return session_parked(websocket, for_memory=error.for_memory)
    return session_ended(websocket)


def answer_with_notice(notice: Notice, websocket: Socket) -> None:
    """Let a notice answer, for want of a session."""
    websocket.begin(notice)
    notice.open()
