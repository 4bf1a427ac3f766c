"""A browser tab as a load generator needs it: Bokeh's protocol, BokehJS's reconnecting, and a good memory.

The tab knows only frames and JSON, no Bokeh models, so hundreds fit into one process. It remembers what
it has set and compares that with the server's Document after every reconnect. Blocking calls and one
reader thread per tab; under locust both are gevent's.
"""

from __future__ import annotations

import html
import itertools
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import Any

import websocket

from loadtests.bokehjs import RECONNECT_DELAYS

TOKEN = re.compile(r"""\\?["']token\\?["']\s*:\s*\\?["']([^"'\\]+)""")
LONGEST_WAIT = 60.0

Report = Callable[[str, float, str | None], None]
"""Told of everything that happened: its kind, how many seconds it took, and what went wrong, if anything."""


class Broken(Exception):
    """The server did not do what it owes a browser."""


class Interrupted(Exception):
    """The connection was lost while an answer was awaited; the tab reconnects by itself."""


@dataclass(frozen=True)
class Slider:
    """A model of the page that can be moved."""

    id: str
    name: str
    start: float
    end: float
    step: float


class Tab:
    """`open()` it, then `move()` sliders; `close()` at the end. Every answer goes to `report`."""

    def __init__(self, url: str, report: Report) -> None:
        self.url = url.rstrip("/")
        self.sliders: dict[str, Slider] = {}
        self.expected: dict[str, set[float]] = {}
        """What each slider may be: one value, or two while nobody knows whether a change arrived."""
        self.pushes = 0
        self._report = report
        self._token = ""
        self._socket: websocket.WebSocket | None = None
        self._ids = itertools.count(1)
        self._answers: dict[str, tuple[threading.Event, list[Any]]] = {}
        self._usable = threading.Event()
        self._dead = ""
        self._closing = False

    # -- what a user does ----------------------------------------------------------------------

    def open(self) -> None:
        """A page view: page, WebSocket, ACK, pull. Raises Broken; BokehJS does not try again either."""
        self._timed("page", self._load_page)
        self._timed("socket", self._connect)
        self._learn(self._timed("pull", self._pull))
        self._usable.set()

    def move(self, name: str, value: float) -> None:
        """Set a slider and wait for the answer. Raises Broken when the session is lost for good."""
        self._wait_usable()
        event = {
            "kind": "ModelChanged",
            "model": {"id": self.sliders[name].id},
            "attr": "value",
            "new": value,
        }
        self.expected[name] = self.expected[name] | {value}
        try:
            self._timed("patch", lambda: self._ask("PATCH-DOC", {"events": [event]}))
        except Interrupted:
            self._report("interrupted", 0.0, None)
        else:
            self.expected[name] = {value}

    def close(self) -> None:
        """As a closed tab."""
        self._closing = True
        if self._socket is not None:
            self._socket.close()

    def drop(self) -> None:
        """As a network that breaks: no goodbye."""
        if self._socket is not None and self._socket.sock is not None:
            self._socket.sock.shutdown(SHUT_RDWR)  # wakes the reader, too

    # -- opening -------------------------------------------------------------------------------

    def _load_page(self) -> None:
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=30) as answer:
                    return self._read_token(answer.read().decode())
            except urllib.error.HTTPError as refused:
                refused.close()
                wait = refused.headers.get("Retry-After")
                if refused.code != 503 or wait is None or time.monotonic() > deadline:
                    raise Broken(f"the page answered {refused.code}") from None
            # What the page of a full replica does by itself.
            self._report("turned-away", 0.0, None)
            time.sleep(int(wait))

    def _read_token(self, page: str) -> None:
        found = TOKEN.search(html.unescape(page))
        if found is None:
            raise Broken("the page has no token")
        self._token = found[1]

    def _connect(self) -> None:
        socket = websocket.create_connection(
            f"ws{self.url.removeprefix('http')}/ws", subprotocols=["bokeh", self._token], timeout=30
        )
        messages = _messages(socket)
        kind, _ = next(messages, ("nothing", {}))
        if kind != "ACK":
            raise Broken(f"the socket began with {kind}")
        socket.settimeout(None)
        self._socket = socket
        threading.Thread(target=self._read, args=(socket, messages), daemon=True).start()

    def _pull(self) -> Any:
        return self._ask("PULL-DOC-REQ", {})["doc"]

    def _learn(self, document: Any) -> None:
        for model in _objects(document):
            attributes = model.get("attributes", {})
            if model.get("name") == "Slider" and "name" in attributes:
                slider = Slider(
                    model["id"], attributes["name"], *(attributes[a] for a in ("start", "end", "step"))
                )
                self.sliders[slider.name] = slider
                self.expected[slider.name] = {attributes["value"]}

    # -- one connection ------------------------------------------------------------------------

    def _ask(self, kind: str, content: Any) -> Any:
        msgid = str(next(self._ids))
        answered, box = self._answers[msgid] = (threading.Event(), [])
        try:
            self._send(msgid, kind, content)
            if not answered.wait(LONGEST_WAIT):
                raise Broken(f"no answer to {kind}")
        finally:
            del self._answers[msgid]
        if not box:
            raise Interrupted
        if box[0][0] == "ERROR":
            raise Broken(box[0][1].get("text", "an error"))
        return box[0][1]

    def _send(self, msgid: str, kind: str, content: Any) -> None:
        socket = self._socket
        assert socket is not None
        try:
            for frame in ({"msgid": msgid, "msgtype": kind}, {}, content):
                socket.send(json.dumps(frame))
        except (OSError, websocket.WebSocketException):
            raise Interrupted from None

    def _read(self, socket: websocket.WebSocket, messages: Iterator[tuple[str, Any]]) -> None:
        for kind, message in messages:
            waiter = self._answers.get(message["reqid"])
            if waiter is not None:
                waiter[1].append((kind, message["content"]))
                waiter[0].set()
            elif kind == "PATCH-DOC":
                self.pushes += 1
        self._usable.clear()
        for answered, _ in list(self._answers.values()):
            answered.set()
        socket.close()
        if not self._closing and socket is self._socket:
            self._reconnect()

    # -- the connection is lost ----------------------------------------------------------------

    def _reconnect(self) -> None:
        """As BokehJS: same token, pull, at growing distances; in the end it gives up."""
        begun, why = time.monotonic(), ""
        for delay in RECONNECT_DELAYS:
            time.sleep(delay)
            if self._closing:
                return
            try:
                self._connect()
                document = self._pull()
            except (OSError, websocket.WebSocketException, Broken, Interrupted) as error:
                why = str(error) or type(error).__name__
                self._socket = None
                continue
            self._report("reconnect", time.monotonic() - begun, None)
            self._check(document)
            self._usable.set()
            return
        self._dead = f"gave up reconnecting: {why}"
        self._report("reconnect", time.monotonic() - begun, self._dead)
        self._usable.set()

    def _check(self, document: Any) -> None:
        """Compare what the server has with what this tab set; from here on the server is right."""
        expected, wrong = self.expected, []
        self.expected = {}
        self._learn(document)
        for name, allowed in expected.items():
            found = self.expected.setdefault(name, set())
            if not found or not found <= allowed:
                wrong.append(f"{name} is {sorted(found)}, not {sorted(allowed)}")
        self._report("state", 0.0, "; ".join(wrong) or None)

    def _wait_usable(self) -> None:
        if not self._usable.wait(LONGEST_WAIT):
            raise Broken("not connected again within a minute")
        if self._dead:
            raise Broken(self._dead)

    def _timed(self, kind: str, act: Callable[[], Any]) -> Any:
        begun = time.monotonic()
        try:
            result = act()
        except Interrupted:
            raise
        except (OSError, websocket.WebSocketException, Broken) as error:
            self._report(kind, time.monotonic() - begun, str(error) or type(error).__name__)
            raise Broken(f"{kind}: {error}") from error
        self._report(kind, time.monotonic() - begun, None)
        return result


def _messages(socket: websocket.WebSocket) -> Iterator[tuple[str, Any]]:
    """(type, {reqid, content}) of each message, until the connection ends."""
    try:
        while True:
            header = json.loads(_frame(socket))
            _frame(socket)
            content = json.loads(_frame(socket))
            for _ in range(2 * header.get("num_buffers", 0)):
                _frame(socket)
            yield header["msgtype"], {"reqid": header.get("reqid"), "content": content}
    except (OSError, websocket.WebSocketException, EOFError):
        return


def _frame(socket: websocket.WebSocket) -> Any:
    frame = socket.recv()
    if frame == "" or frame is None:
        raise EOFError
    return frame


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every model in a serialized Document."""
    if isinstance(value, dict):
        if value.get("type") == "object" and "id" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _objects(each)
