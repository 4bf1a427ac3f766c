"""A TCP proxy that loses replies: what was asked is done, and the one who asked never hears.

Or one that passes nothing on at all for a while.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Self

from devfleet.redis_server import RedisServer

__all__ = ("FaultProxy", "ProxiedRedis")


class FaultProxy:
    """Passes bytes on while `passing` is set; with `loss` (0 to 1) a reply is lost with its connection."""

    def __init__(self, port: int) -> None:
        self.loss = 0.0
        self.passing = asyncio.Event()
        self.passing.set()
        self.lost = 0
        self.port = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(OSError):
                await self._connect(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(downstream)
        asking = asyncio.create_task(self._pass(reader, downstream))
        try:
            await self._answer(upstream, writer)
        finally:
            asking.cancel()
            self._open.discard(downstream)
            downstream.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 18):
                await self.passing.wait()
                writer.write(data)
                await writer.drain()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 18):
            await self.passing.wait()
            if random.random() < self.loss:
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()


class ProxiedRedis(RedisServer):
    """A redis-server whose URL leads through a proxy, once there is one."""

    proxy: FaultProxy | None = None

    @property
    def url(self) -> str:
        return super().url if self.proxy is None else f"redis://127.0.0.1:{self.proxy.port}/0"
