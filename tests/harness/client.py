"""A client that speaks to a server as BokehJS does, and can be asked afterwards what it saw.

It keeps a Document that follows the server's, sends what a test changes in it, and records every message
with the time it came. `Wire` (in `wire.py`) does the framing, this module gives the messages their meaning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bokeh.document import Document
from bokeh.document.events import DocumentChangedEvent, DocumentPatchedEvent
from bokeh.events import ButtonClick, Event
from bokeh.model import Model
from bokeh.protocol import Protocol
from bokeh.protocol.message import Message
from bokeh.protocol.messages.patch_doc import patch_doc
from bokeh.settings import settings

from harness.pages import Page, get_page
from harness.wire import Wire, WireClosed

AnyMessage = Message[Any]


@dataclass(frozen=True)
class Received:
    """One message from the server and when it was complete (`time.monotonic()` seconds)."""

    at: float
    message: AnyMessage

    @property
    def kind(self) -> str:
        return self.message.msgtype


class ServerError(AssertionError):
    """The server answered a request with ERROR; the message is its text."""


class Client:
    """One browser tab without a browser. `await Client.open(url)`, then `close()`, or `async with`.

    `token` is used for every (re)connection, as BokehJS does. All waits raise TimeoutError when `timeout`
    seconds (given per client, or per call) are over.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.timeout = timeout
        self.document = Document()
        self.document_json: Any = None
        self.received: list[Received] = []
        self.page: Page | None = None
        self.cookies = cookies
        self._headers = headers
        self._wire: Wire | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._news = asyncio.Event()
        self._pulled = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        session_id: str | None = None,
        arguments: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Self:
        """All that a browser does for a page view: page, WebSocket, ACK, pull."""
        page = await get_page(
            url, session_id=session_id, arguments=arguments, cookies=cookies, headers=headers, timeout=timeout
        )
        client = cls(url, page.token, cookies=page.cookies, headers=headers, timeout=timeout)
        client.page = page
        await client.connect()
        try:
            await client.pull()
        except BaseException:
            await client.close()
            raise
        return client

    # connection

    @property
    def socket_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/ws"

    @property
    def connected(self) -> bool:
        return self._wire is not None and not self._wire.closed

    @property
    def close_code(self) -> int | None:
        """The code the server closed the connection with; None while it is open (or when there was none)."""
        return self._wire.close_code if self._wire else None

    @property
    def close_reason(self) -> str | None:
        return self._wire.close_reason if self._wire else None

    async def connect(self, timeout: float | None = None) -> None:
        """Opens the WebSocket and waits for the server's ACK.

        WireClosed says that the server refused or closed (with `http_status`, or `close_code`).
        """
        await self.close()
        self._wire = await Wire.open(
            self.socket_url, self.token, cookies=self.cookies, headers=self._headers, timeout=self.timeout
        )
        since = len(self.received)
        self._reading = asyncio.create_task(self._read(self._wire), name="client reader")
        await self.expect(lambda _: any(each.kind == "ACK" for each in self.received[since:]), timeout)

    async def close(self) -> None:
        """As a closed tab. The replica Document stays, to look at."""
        if self._wire is not None:
            await self._wire.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        self._reading = None

    async def reconnect(self, timeout: float | None = None) -> None:
        """What BokehJS does when a connection was lost: same token, ACK, pull."""
        await self.connect(timeout)
        await self.pull(timeout)

    async def wait_closed(self, timeout: float | None = None) -> int | None:
        """Waits for the server to close the connection; its close code."""
        assert self._reading is not None, "not connected"
        await asyncio.wait_for(asyncio.shield(self._reading), timeout or self.timeout)
        return self.close_code

    # requests

    async def request(self, message: AnyMessage, timeout: float | None = None) -> AnyMessage:
        """Sends a message, returns the answer to it. ServerError if that is an ERROR."""
        await self.wire.send(message)
        asked = message.header["msgid"]
        await self.expect(lambda _: self._answer(asked) is not None, timeout)
        answer = self._answer(asked)
        assert answer is not None
        if answer.msgtype == "ERROR":
            raise ServerError(answer.content["text"])
        return answer

    async def pull(self, timeout: float | None = None) -> Any:
        """PULL-DOC-REQ: makes `document` the server's, keeps and returns its JSON as `document_json`."""
        await self.request(Protocol().create("PULL-DOC-REQ"), timeout)
        return self.document_json

    async def server_info(self, timeout: float | None = None) -> dict[str, Any]:
        return dict((await self.request(Protocol().create("SERVER-INFO-REQ"), timeout)).content)

    async def push(self, document: Document, timeout: float | None = None) -> None:
        """PUSH-DOC: makes the server's Document a copy of `document`."""
        await self.request(Protocol().create("PUSH-DOC", document), timeout)

    async def change(self, function: Callable[[Document], object], timeout: float | None = None) -> None:
        """Lets `function` change `document`, sends all of it as one PATCH-DOC, waits for the OK.

        New models get random ids, as they do in a browser, and so never meet the server's.
        """
        with self._changes() as events:
            function(self.document)
        assert events, "the function changed nothing"
        await self.request(Protocol().create("PATCH-DOC", events), timeout)

    async def patch(self, model: str | type[Model] | dict[str, Any], **values: Any) -> None:
        """Sets properties of one model (see `model()`), one PATCH-DOC for all, and waits for the OK."""
        await self.change(lambda _: self.model(model).update(**values))

    async def patch_json(self, *events: dict[str, Any], timeout: float | None = None) -> None:
        """Sends these event JSONs as one PATCH-DOC, as they are, and waits for the OK."""
        content: Any = {"events": events}
        await self.request(patch_doc(patch_doc.create_header(), {}, content), timeout)

    async def emit(self, event: Event, timeout: float | None = None) -> None:
        """Sends a UI event, as when somebody does something to a model, and waits for the OK."""
        await self.change(lambda document: document.callbacks.send_event(event), timeout)

    async def click(self, button: str | type[Model] | dict[str, Any], timeout: float | None = None) -> None:
        await self.emit(ButtonClick(self.model(button)), timeout)

    # what it sees

    def model(self, which: str | type[Model] | dict[str, Any]) -> Any:
        """The one model of that name, of that type, or matching that selector."""
        selector: Any = {"name": which} if isinstance(which, str) else which
        selector = {"type": which} if isinstance(which, type) else selector
        found = self.document.select_one(selector)
        assert found is not None, f"no model {which!r} among {sorted(map(str, self.document.models))}"
        return found

    def value(self, which: str | type[Model] | dict[str, Any], path: str) -> Any:
        """A property of a model as this client sees it; `path` may lead on: "title.text"."""
        found = self.model(which)
        for name in path.split("."):
            found = getattr(found, name)
        return found

    def messages(self, kind: str) -> list[AnyMessage]:
        """All messages of that type so far, over all connections: "PATCH-DOC", "OK", ..."""
        return [each.message for each in self.received if each.kind == kind]

    def messages_at(self, kind: str) -> list[float]:
        """When the messages of that type came, in `time.monotonic()` seconds."""
        return [each.at for each in self.received if each.kind == kind]

    async def expect(
        self, predicate: Callable[[Self], object], timeout: float | None = None, what: str = ""
    ) -> Any:
        """Waits until `predicate(client)` is true, looking after each message; returns what it returned.

        WireClosed if the connection ends before, or whatever went wrong in reading it.
        """
        try:
            async with asyncio.timeout(timeout or self.timeout):
                while not (found := predicate(self)):
                    self._news.clear()
                    self._raise_if_over(what)
                    await self._news.wait()
                return found
        except TimeoutError:
            kinds = ", ".join(each.kind for each in self.received[-20:])
            raise TimeoutError(f"expected {what or predicate}; the last messages were: {kinds}") from None

    async def expect_value(
        self, which: str | type[Model] | dict[str, Any], path: str, value: Any, timeout: float | None = None
    ) -> None:
        """Waits until that property has that value."""
        await self.expect(lambda _: self.value(which, path) == value, timeout, f"{which} {path} = {value!r}")

    # below the waterline

    @property
    def wire(self) -> Wire:
        """The connection itself, for sending what no browser would."""
        assert self._wire is not None, "not connected"
        return self._wire

    async def _read(self, wire: Wire) -> None:
        try:
            while (message := await wire.receive()) is not None:
                self._take(message)
                self._news.set()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._news.set()

    def _take(self, message: AnyMessage) -> None:
        self.received.append(Received(time.monotonic(), message))
        if message.msgtype == "PULL-DOC-REPLY":
            self.document_json = message.content["doc"]
            message.push_to_document(self.document)  # type: ignore[attr-defined]
            self._pulled = True
        elif message.msgtype == "PATCH-DOC" and self._pulled:
            self.document.apply_json_patch(message.payload, setter=self)  # type: ignore[arg-type]

    def _answer(self, asked: str) -> AnyMessage | None:
        answers = (each.message for each in reversed(self.received))
        return next((each for each in answers if each.header.get("reqid") == asked), None)

    def _raise_if_over(self, what: str) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.connected:
            raise WireClosed(
                f"closed while waiting for {what or 'a message'}", self.close_code, self.close_reason
            )

    @contextmanager
    def _changes(self) -> Iterator[list[DocumentPatchedEvent]]:
        events: list[DocumentPatchedEvent] = []

        def note(event: DocumentChangedEvent) -> None:
            setter: Any = event.setter
            if isinstance(event, DocumentPatchedEvent) and setter is not self:
                events.append(event)

        self.document.on_change(note)
        settings.simple_ids.set_value(False)
        try:
            yield events
        finally:
            settings.simple_ids.unset_value()
            self.document.remove_on_change(note)

    async def __aenter__(self) -> Self:
        if not self.connected:
            await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
