"""Bokeh's own blocking client (`bokeh.client`), on a thread with a loop of its own beside a test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from bokeh import client as bokeh_client
from bokeh.client.session import ClientSession
from tornado.ioloop import IOLoop

T = TypeVar("T")


class Peer:
    """`async with Peer() as peer: session = await peer.pull(url=...)`. Sessions are closed at the end."""

    def __init__(self) -> None:
        self._sessions: list[ClientSession] = []

    async def pull(self, **options: Any) -> ClientSession:
        """`bokeh.client.pull_session`."""
        return await self._open(bokeh_client.pull_session, **options)

    async def push(self, document: Any, **options: Any) -> ClientSession:
        """`bokeh.client.push_session`."""
        return await self._open(bokeh_client.push_session, document, **options)

    async def do(self, func: Callable[..., T], *args: Any, **options: Any) -> T:
        """Anything else that talks through one of the sessions."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: func(*args, **options))

    async def until(
        self, session: ClientSession, condition: Callable[[], object], timeout: float = 10
    ) -> None:
        """What `session.loop_until_closed()` does, but only until `condition()` is true.

        Nothing else applies patches: `force_roundtrip()` drops those that come before its answer.
        """

        def enough() -> bool:
            return bool(condition()) or not session.connected

        def loop() -> None:
            giving_up = self._loop.call_later(timeout, session.close)
            session._connection._loop_until(enough)
            self._loop.remove_timeout(giving_up)

        await self.do(loop)
        assert condition(), f"not within {timeout} s"

    async def _open(self, func: Callable[..., ClientSession], *args: Any, **options: Any) -> ClientSession:
        session = await self.do(func, *args, io_loop=self._loop, **options)
        self._sessions.append(session)
        return session

    def _begin(self) -> None:
        self._loop = IOLoop(make_current=False)
        asyncio.set_event_loop(self._loop.asyncio_loop)

    def _end(self) -> None:
        for session in self._sessions:
            session.close()
        asyncio.set_event_loop(None)
        self._loop.close(all_fds=True)

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "peer")
        await self.do(self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.do(self._end)
        self._thread.shutdown()
