"""One client of a session: answers its messages and carries changes to it.

Knows nothing of sockets: frames come in through :meth:`Connection.receive` and leave through a
:class:`Transport`, which is a browser's WebSocket here or the relay of another replica.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

from bokeh import __version__ as bokeh_version

from service.apps.frames import exc_info_of_app
from service.apps.jupyter_widgets import refresh
from service.background import spawn
from service.close_codes import READS_TOO_SLOWLY, SESSION_REPLACED
from service.documents.encoding import (
    apply_patch,
    encode_document,
    replace_document,
    said_by_itself,
    says_nothing_new,
)
from service.documents.unpacking import unpacked_at_most
from service.errors import ProtocolError, ServiceError, SessionMoved
from service.limits import MAX_UNSENT_BYTES
from service.metrics import AppMeter
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frame, Frames, Message
from service.sessions.blame import brief, raised_by_app
from service.sessions.page_message import PageMessage, coming_back, frames_before, frames_of, is_back
from service.sessions.session import Session
from service.sessions.slot import Slot
from service.sessions.visibility import frames_that_ask, hidden_in

__all__ = ("Connection", "Transport")

log = logging.getLogger(__name__)

WAITING_NOTICE_SECONDS = 1.0
"""How long a message waits for its session to wake up until the page says so."""

MAX_HELD_MESSAGES = 32
"""What a page says by itself while its session sleeps; with more, it is woken at once."""

CATCH_UP_SECONDS = 30.0
"""How long it waits before it gives the connection up."""


class Transport(Protocol):
    """Where frames go. Everything is ordered and nothing here waits except ``drained``."""

    @property
    def open(self) -> bool:
        """Whether the client is there still."""

    @property
    def unsent(self) -> int:
        """Bytes accepted but not yet given to the network."""

    def send(self, frames: Frames) -> None:
        """Queue the frames of one message. Ignored once closed."""

    async def drained(self) -> None:
        """Return when nothing is unsent, or the transport is closed."""

    def close(self, code: int, reason: str, *, patience: float | None = None) -> None:
        """Close with a WebSocket close code, after what is queued; ``patience`` seconds later in any case."""


class Connection:
    """One client, from its ACK to its close. Made and used on the event loop only.

    ``keeps_buffers`` says that it takes binary buffers with any pull, not with its first one alone;
    ``is_page`` that it runs the JavaScript of its Document.
    """

    def __init__(
        self,
        slot: Slot[Session],
        transport: Transport,
        token_id: str,
        *,
        meter: AppMeter,
        max_bytes: int,
        keeps_buffers: bool = False,
        is_page: bool = False,
    ) -> None:
        self._slot = slot
        self._meter = meter
        self._subscribed = False
        self._transport = transport
        self._token_id = token_id
        self._keeps_buffers = keeps_buffers
        self._is_page = is_page
        self._shows_messages = False
        self._asked = False
        """Whether it tells when it is hidden."""
        self._hidden_since: float | None = None
        self._pulls_again = False
        """It was closed so that its page connects once more."""
        self._drops_input = False
        self._shown_roots: frozenset[str] = frozenset()
        """Of a session that slept when it was shown: a page that has connected again sends them back."""
        self._held: tuple[Message, ...] = ()
        """For when it is live."""
        self._assembler = Assembler(max_bytes=max_bytes)
        self._max_bytes = max_bytes
        self._bytes_in = 0

    @property
    def session(self) -> Session:
        """The session while it is live here, as it is while a message is handled."""
        session = self._slot.session
        if session is None:
            raise SessionMoved("the session has just left this replica")
        return session

    @property
    def subscribed(self) -> bool:
        return self._subscribed

    def open(self) -> None:
        """Join the session and say so. Raises SessionMoved when it has ended here meanwhile."""
        if not self._slot.open:
            raise SessionMoved("the session has just left this replica")
        self._slot.connect(self)
        self._transport.send(messages.ack())

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        """Take one frame, and answer the message it completes: at once, or when what is returned is awaited.

        The next frame may come only after that. Raises :class:`ProtocolError` on frames no client may
        send; the caller closes the connection.
        """
        message = self._assembler.feed(frame)
        self._bytes_in += len(frame)
        if message is None:
            return None
        self._meter.bytes_in += self._bytes_in
        self._bytes_in = 0
        handler = _HANDLERS.get(message.msgtype)
        if handler is None:
            raise ProtocolError(f"a client may not send {message.msgtype}")
        if self._asked and (hidden := hidden_in(message)) is not None:
            return self._page_is(hidden, message)
        session = None if self._drops_input else self._slot.session
        if message.msgtype == "PATCH-DOC" and session is not None and session.free and not self._held:
            return self._patch_at_once(session, message)
        return self._handle(handler, message)

    def _page_is(self, hidden: bool, message: Message) -> Awaitable[None] | None:
        """Nobody can see the page any more, or somebody can: what it paused then goes on."""
        self._hidden_since = time.monotonic() if hidden else None
        self.send(messages.ok(message.msgid))
        return None if hidden else self._wake()

    async def _wake(self) -> None:
        await self._slot.awake()

    async def _handle(self, handler: _Handler, message: Message) -> None:
        if self._slot.session is None:
            if await self._answered_asleep(message):
                return
            await self._awake()
            if not (self._transport.open or self._pulls_again):
                # What its page has done since, through another socket, may be later.
                log.debug("a %s came from a page that had gone when its session woke", message.msgtype)
                return
        if self._drops_input:
            log.debug("a %s came from a page of what was there before", message.msgtype)
            return
        if self._held:
            await self._handle_held()
        await self._do(handler, message)

    async def _do(self, handler: _Handler, message: Message) -> None:
        try:
            await handler(self, message)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and this message's alone
            self._failed(message, error)

    async def _awake(self) -> None:
        """Wait for a session that sleeps; the page says so when that takes longer."""
        timer = asyncio.get_running_loop().call_later(WAITING_NOTICE_SECONDS, self.show, coming_back())
        due = timer.when()
        try:
            await self._slot.awake()
        finally:
            timer.cancel()
            if asyncio.get_running_loop().time() >= due:
                self.show(is_back())

    def _failed(self, message: Message, error: Exception) -> None:
        """Say so to the client and in the log. The connection stays, as with Bokeh."""
        facts, session = self._slot.key.facts, self._slot.session
        if raised_by_app(error):
            self._meter.callback_failed()
            if session is not None:
                session.pages.callback_failed(error)
            log.error("handling %s failed", message.msgtype, exc_info=exc_info_of_app(error), extra=facts)
        else:
            log.warning("a %s of a client cannot be applied: %s", message.msgtype, brief(error), extra=facts)
        self.send(messages.error(message.msgid, repr(error)))

    async def closed(self) -> None:
        """The client is gone."""
        session = self._slot.session
        if self._slot.disconnect(self) and session is not None:
            await session.disconnected()

    def hidden_for(self) -> float:
        return 0.0 if self._hidden_since is None else time.monotonic() - self._hidden_since

    # -- towards the client --------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        return self._transport.unsent > MAX_UNSENT_BYTES

    async def catch_up(self) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._transport.drained()
        except TimeoutError:
            log.warning("closing a connection that reads too slowly", extra=self._slot.key.facts)
            self.close(*READS_TOO_SLOWLY)

    def send(self, frames: Frames) -> None:
        self._meter.bytes_out += sum(map(len, frames))
        self._transport.send(frames)

    def show(self, message: PageMessage) -> None:
        """Show it to the page's user, if this is a page and has its Document."""
        if not (self._is_page and self._subscribed):
            return
        if not self._shows_messages:
            self.send(frames_before())
            self._shows_messages = True
        self.send(frames_of(message))

    def close(self, code: int, reason: str, *, patience: float | None = None) -> None:
        self._transport.close(code, reason, patience=patience)

    def pull_again(self, *, keep_input: bool) -> None:
        """The Document is not what was shown. A page connects again at once, and pulls it anew."""
        self._subscribed = False
        self._pulls_again = True
        self._drops_input = not keep_input
        self.close(*SESSION_REPLACED)

    # -- messages ------------------------------------------------------------------------------

    async def _answered_asleep(self, message: Message) -> bool:
        """Whether the message could be answered though the session sleeps."""
        match message.msgtype:
            case "PULL-DOC-REQ":
                return await self._pull_asleep(message)
            case "SERVER-INFO-REQ":
                await self._server_info(message)
                return True
            case "PATCH-DOC" if says_nothing_new(message.content, self._shown_roots):
                self.send(messages.ok(message.msgid))
                return True
            case "PATCH-DOC" if self._may_wait(message):
                self._held += (message,)
                self.send(messages.ok(message.msgid))
                return True
        return False

    def _may_wait(self, message: Message) -> bool:
        """Whether a page would say it again if it came to nothing, and nobody waits for what comes of it."""
        return self._subscribed and len(self._held) < MAX_HELD_MESSAGES and said_by_itself(message.content)

    def woken(self) -> None:
        """The session is live: hand on what could wait for that."""
        if self._subscribed and not self._asked:  # else it was shown by its Document before it slept
            self._ask()
        if self._held and not self._drops_input:
            spawn(self._handle_held())

    async def _handle_held(self) -> None:
        held, self._held = self._held, ()
        for message in held:
            await self._do(Connection._apply_held, message)

    async def _apply_held(self, message: Message) -> None:
        """It was answered already."""
        session = self.session
        await session.apply(partial(self._apply, session, message), self)

    async def _pull_asleep(self, message: Message) -> bool:
        """Answer from its record; whether that could be."""
        composed = await self._slot.pulled_asleep(inline=not self._keeps_buffers)
        if composed is None:
            return False
        self.send(messages.pull_doc_reply(message.msgid, composed.content, composed.buffers))
        self._subscribed = True
        self._shows_messages = False
        self._shown_roots = composed.roots
        return True

    async def _pull(self, message: Message) -> None:
        await self.session.for_client(self._pull_locked, message)

    async def _pull_locked(self, message: Message) -> None:
        # Runs no code of the app, so on the event loop: it must not wait for a thread.
        inline = not (self.session.pages.first_pull(self._token_id) or self._keeps_buffers)
        refresh(self.session.document)
        content, buffers = encode_document(self.session.document, inline=inline)
        self.send(messages.pull_doc_reply(message.msgid, content, buffers))
        self._subscribed = True
        self._shows_messages = False
        self.session.pages.show_to(self)
        self.session.is_rendered()
        self._ask()
        if self.session.journal is not None:
            self.session.journal.pulled(content, buffers)

    def _ask(self) -> None:
        """Let the page tell when it is hidden, if anything pauses then."""
        if self._is_page and self.session.app.pauses_unwatched:
            self._asked = True
            self.send(frames_that_ask())

    async def _push(self, message: Message) -> None:
        await self.session.for_client(self._push_locked, message)
        await self.session.settle()
        self.send(messages.ok(message.msgid))

    def _push_locked(self, message: Message) -> None:
        # Its sender has this Document already; what changes from here on reaches it.
        self._subscribed = False
        with unpacked_at_most(self._max_bytes):
            replace_document(self.session.document, message.content, message.buffers)
        self._subscribed = True
        if self.session.journal is not None:
            self.session.journal.pushed()

    async def _patch(self, message: Message) -> None:
        session = self.session
        self._meter.patches_in += 1
        self._subscribed = True
        await session.apply(partial(self._apply, session, message), self, message.content)
        if session.settles and session.puts_off_input:
            spawn(self._acknowledge_later(session, message))  # the next input may be handled with this one
        else:
            await session.settle()
            self.send(messages.ok(message.msgid))

    async def _acknowledge_later(self, session: Session, message: Message) -> None:
        try:
            await session.settle()
        except ServiceError as error:
            log.info("an input is not acknowledged: %s", error, extra=self._slot.key.facts)
            self.close(error.close_code, str(error))
        else:
            self.send(messages.ok(message.msgid))

    def _patch_at_once(self, session: Session, message: Message) -> Awaitable[None] | None:
        """As :meth:`_patch` where nobody else is at work on the Document: without waiting, if that can be."""
        self._meter.patches_in += 1
        self._subscribed = True
        change = partial(self._apply, session, message)
        working: Awaitable[None] | None = None
        try:
            if session.needs_thread(message.content):
                working = session.apply_on_thread(change, self, message.content)
            else:
                session.apply_at_once(change, self, message.content)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and this message's alone
            self._failed(message, error)
            return None
        if working is None and session.congested:
            working = session.catch_up()
        if working is not None:
            return self._handle(partial(Connection._patched, working=working), message)
        self.send(messages.ok(message.msgid))
        return None

    def _apply(self, session: Session, message: Message) -> None:
        with unpacked_at_most(self._max_bytes):
            apply_patch(session.document, message.content, message.buffers, session)

    async def _patched(self, message: Message, *, working: Awaitable[None]) -> None:
        await working
        self.send(messages.ok(message.msgid))

    async def _server_info(self, message: Message) -> None:
        self.send(messages.server_info_reply(message.msgid, bokeh_version))


_Handler: TypeAlias = Callable[[Connection, Message], Awaitable[None]]

_HANDLERS: dict[str, _Handler] = {
    "PULL-DOC-REQ": Connection._pull,
    "PUSH-DOC": Connection._push,
    "PATCH-DOC": Connection._patch,
    "SERVER-INFO-REQ": Connection._server_info,
}
