"""Where Redis was found the last time, for when its name is looked up in vain.

A connection that breaks is made anew, and after a fault those that are idle are closed on purpose. If the
nameserver hangs just then, a replica would lose a Redis that it can reach, and the fleet that replica.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

from redis import exceptions as redis_errors
from redis.asyncio import SSLConnection

__all__ = ("LOOKUP_SECONDS", "remembering")

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 0.2
"""How long a lookup may take when the last answer is known. It goes on, and its answer is the next one."""

T = TypeVar("T")
Place = tuple[str, int]

_found: dict[Place, list[str]] = {}
"""Addresses by name and port, the same for all event loops of this process."""
_asking: dict[tuple[asyncio.AbstractEventLoop, Place], asyncio.Task[list[str]]] = {}
"""Each lookup holds up a thread until it ends, so there is one at a time."""


class _Remembering:
    """Connects to what the name is known to stand for (redis-py 8)."""

    host: str
    port: int
    is_connected: bool
    _address = ""

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        if self.is_connected:
            return
        *others, last = await _addresses(self.host, self.port)
        for self._address in others:
            try:
                await super().connect_check_health(*args, **options)  # type: ignore[misc]
            except (redis_errors.RedisError, OSError) as error:
                log.debug("no Redis at %s: %s", self._address, error)
            else:
                return
        self._address = last
        await super().connect_check_health(*args, **options)  # type: ignore[misc]

    def _connection_arguments(self) -> Mapping[str, Any]:
        """In the place of redis-py's: a certificate is still for the name."""
        arguments: dict[str, Any] = {"host": self._address or self.host, "port": self.port}
        if isinstance(self, SSLConnection):
            arguments |= {"ssl": self.ssl_context.get(), "server_hostname": self.host}
        return arguments


def remembering(connection: type[T]) -> type[T]:
    """The class of redis-py's (asyncio) connections over TCP, with that."""
    return type(connection.__name__, (_Remembering, connection), {})


async def _addresses(host: str, port: int) -> list[str]:
    """At least one. Raises ConnectionError when the name is not found, and never was."""
    if _is_address(host):
        return [host]
    place = host, port
    known = _found.get(place)
    lookup = _lookup(place)
    try:
        async with asyncio.timeout(None if known is None else LOOKUP_SECONDS):
            return await asyncio.shield(lookup)
    except OSError as error:  # TimeoutError is one
        if known is None:
            raise redis_errors.ConnectionError(f"{host}:{port}: {error}") from error
        log.debug("%s is taken for what it was, %s: %r", host, known, error)
        return known


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _lookup(place: Place) -> asyncio.Task[list[str]]:
    loop = asyncio.get_running_loop()
    key = loop, place
    if key not in _asking:
        _asking[key] = task = loop.create_task(_look_up(place))
        task.add_done_callback(lambda done: _ended(key, done))
    return _asking[key]


def _ended(key: tuple[asyncio.AbstractEventLoop, Place], task: asyncio.Task[list[str]]) -> None:
    del _asking[key]
    if not task.cancelled():
        task.exception()  # whoever waited has it, and need not be there any more


async def _look_up(place: Place) -> list[str]:
    host, port = place
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [str(address[0]) for *_, address in answers]
    _found[place] = found
    return found
