"""A nameserver that hangs when it is told to, and a process that has no other.

Names then hang as they do for a container whose cluster's DNS is down: glibc asks, waits five seconds, asks
again; the thread that called it waits along.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ("NameServer", "no_resolver")

HOOKS = Path(__file__).with_name("hooks")

HEADER = struct.Struct("!6H")
ANSWER, FOUND = 0x8180, struct.pack("!HHHIH4B", 0xC00C, 1, 1, 0, 4, 127, 0, 0, 1)
"""A response without error; a record A of the name that was asked for, which nobody may keep."""
A = 1
NO_SUCH_NAME = 3


def no_resolver() -> str | None:
    """Why no process can be given another nameserver here; None when one can."""
    glibc = hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
    if glibc and sys.maxsize > 1 << 32:
        return None
    return "the nameserver is changed in the memory of glibc, of 64 bits"


class NameServer(asyncio.DatagramProtocol):
    """`async with NameServer() as names:` knows that every name is 127.0.0.1, while it is ``answering``."""

    def __init__(self) -> None:
        self.answering = True
        self.knowing = True
        """Else there is no such name."""
        self.ignored = 0
        """Questions without an answer."""
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._transport is not None
        self._transport.close()

    @property
    def env(self) -> Mapping[str, str]:
        """For a Python process that shall ask here."""
        assert self._transport is not None
        _, port = self._transport.get_extra_info("sockname")
        path = os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")]))
        return {"PYTHONPATH": path, "NAMESERVER_PORT": str(port)}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        if self.answering:
            self._transport.sendto(_answer(data, known=self.knowing), addr)
        else:
            self.ignored += 1


def _answer(query: bytes, *, known: bool) -> bytes:
    number, *_ = HEADER.unpack_from(query)
    end = query.index(0, HEADER.size) + 5  # after the name: type and class
    (kind,) = struct.unpack_from("!H", query, end - 4)
    found = FOUND if known and kind == A else b""
    flags = ANSWER if known else ANSWER | NO_SUCH_NAME
    return HEADER.pack(number, flags, 1, bool(found), 0, 0) + query[HEADER.size : end] + found
