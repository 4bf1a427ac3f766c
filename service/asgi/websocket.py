"""A WebSocket whose frames are ASGI events: whole messages in, whole messages out.

Its server does the handshake, compression, pings and the closing handshake. A message that can be dealt with
at once is, as it is read; only what has to be waited for gets a task, and what comes after it, a backlog.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable

from service.asgi.events import Event, Receive, Send
from service.background import spawn
from service.close_codes import HANDLER_FAILED, NORMAL_CLOSURE, OVER_LIMIT
from service.errors import ServiceError
from service.limits import CLOSING_SECONDS, MAX_UNREAD_BYTES, MAX_UNSENT_BYTES
from service.protocol.messages import Frame, Frames
from service.web.websocket import (
    MAX_WAITING_MESSAGES,
    Answering,
    Peer,
    Socket,
)

__all__ = ("EventSocket",)

log = logging.getLogger(__name__)


class EventSocket(Answering):
    """A :class:`~service.web.websocket.Socket`, in the set ``among`` for as long as it is open.

    :meth:`run` is its life. ``about`` is what logs call it; with ``reasons`` the server takes them.
    """

    def __init__(
        self, send: Send, *, among: set[Socket], max_message_size: int, about: str = "", reasons: bool = True
    ) -> None:
        self.about = about
        self.open = True
        self.unsent = 0
        """Bytes (characters, for text) accepted but not yet taken by the server."""
        self._send = send
        self._among = among
        self._among.add(self)
        self._max_message_size = max_message_size
        self._reasons = reasons
        self._peer: Peer | None = None
        self._outgoing: deque[tuple[Event, int]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._backlog: deque[Frame] = deque()
        self._backlog_size = 0
        """Bytes (characters, for text) in it."""
        self._busy = False
        """Somebody works the backlog off."""
        self._discards_input = False
        """What comes from the client is ignored from here on."""
        self._closing = False
        """Our close event is on its way, and nothing may follow it."""
        self._relieved = asyncio.Event()
        """Something was sent, or worked off, or it is all over."""
        self._timer: asyncio.TimerHandle | None = None
        """Until a client that does not answer our close frame is cut off."""

    @property
    def answered(self) -> bool:
        return self._peer is not None

    def begin(self, peer: Peer) -> None:
        if not self.open:
            spawn(peer.closed())
            return
        self._peer = peer
        if self._backlog and not self._busy:
            self._busy = True
            spawn(self._work_off())

    async def run(self, receive: Receive) -> None:
        """Read until the client has gone, or is sent away, or this is cancelled."""
        if not self.open:
            return
        self._reading = asyncio.create_task(self._read(receive))
        try:
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.result()
        finally:
            self.cut()

    # -- writing -------------------------------------------------------------------------------

    def send(self, frames: Frames) -> None:
        if self._closing or not self.open:
            log.debug("dropping a message for a closed WebSocket")
            return
        for frame in frames:
            self._put(_event_of(frame), len(frame))

    async def drained(self) -> None:
        while self.open and self.unsent:
            await self._relief()

    def close(self, code: int | None = None, reason: str = "", *, patience: float | None = None) -> None:
        if self._closing or not self.open:
            return
        self._closing = True
        event: Event = {"type": "websocket.close", "code": code or NORMAL_CLOSURE}
        if self._reasons:
            event["reason"] = reason
        self._put(event, 0)
        seconds = CLOSING_SECONDS if patience is None else patience
        self._timer = asyncio.get_running_loop().call_later(seconds, self.cut)

    def cut(self) -> None:
        if not self.open:
            return
        self.open = False
        self._among.discard(self)
        for task in (self._reading, self._writing):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._outgoing.clear()
        self.unsent = 0
        self._relieve()
        if not self._busy:
            self._farewell()

    def _put(self, event: Event, size: int) -> None:
        self._outgoing.append((event, size))
        self.unsent += size
        if self._writing is None:
            self._writing = spawn(self._write())

    async def _write(self) -> None:
        """Give the server what is queued, one event after another."""
        all_sent = False
        try:
            while self._outgoing:
                event, size = self._outgoing.popleft()
                await self._send(event)
                self.unsent -= size
                self._relieve()
            all_sent = True
        except OSError as error:
            log.debug("a WebSocket of %s failed: %s", self.about, error)
        finally:
            self._writing = None
            if self._closing or not all_sent:
                self.cut()

    async def _relief(self) -> None:
        self._relieved.clear()
        await self._relieved.wait()

    def _relieve(self) -> None:
        self._relieved.set()

    # -- reading -------------------------------------------------------------------------------

    async def _read(self, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            frame: Frame = event["text"] if event.get("text") is not None else event["bytes"]
            if len(frame) > self._max_message_size:
                self._break_off()
            elif not self._discards_input:
                self._take(frame)
            while self._has_to_wait:
                await self._relief()

    @property
    def _has_to_wait(self) -> bool:
        """Whether the client's network has to keep what else it sends."""
        much_waits = len(self._backlog) > MAX_WAITING_MESSAGES or self._backlog_size > MAX_UNREAD_BYTES
        return self.open and (much_waits or (self.unsent > MAX_UNSENT_BYTES and not self._closing))

    def _take(self, frame: Frame) -> None:
        if self._busy or self._peer is None:
            self._backlog.append(frame)
            self._backlog_size += len(frame)
            return
        waiting = self._hand_on(frame)
        if waiting is not None:
            self._busy = True
            spawn(self._work_off(waiting))

    async def _work_off(self, waiting: Awaitable[None] | None = None) -> None:
        """Deal with what waits, as its order is."""
        if waiting is not None:
            await self._guarded(waiting)
        while self._backlog and self._peer is not None:
            frame = self._backlog.popleft()
            self._backlog_size -= len(frame)
            self._relieve()
            left = self._hand_on(frame)
            del frame  # not while the next one waits
            if left is not None:
                await self._guarded(left)
        self._busy = False
        if not self.open:
            self._farewell()

    def _break_off(self) -> None:
        self._discards_input = True
        self.close(*OVER_LIMIT)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ServiceError):  # what the client did wrong closes this socket and nothing else
            log.warning("closing a WebSocket of %s: %s", self.about, error)
            self.close(error.close_code, str(error))
        else:
            log.error("handling a message of a WebSocket of %s failed", self.about, exc_info=error)
            self.close(*HANDLER_FAILED)
        self._discards_input = True
        self._backlog.clear()
        self._backlog_size = 0
        self._farewell()


def _event_of(frame: Frame | memoryview) -> Event:
    if isinstance(frame, str):
        return {"type": "websocket.send", "text": frame}
    return {"type": "websocket.send", "bytes": bytes(frame)}
