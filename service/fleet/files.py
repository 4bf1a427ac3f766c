"""Static files that this replica lacks, from one that has them.

While an image is rolled out, a page of one version asks replicas of the other for its scripts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass

from tornado.httpclient import HTTPError

from service.fleet.peers import Peers
from service.fleet.relay import ReplicaClient
from store.contract import Heartbeat
from store.errors import StoreError

__all__ = ("PeerFile", "PeerFiles")

log = logging.getLogger(__name__)

MAX_KEPT_BYTES = 24 * 1024 * 1024
MAX_KEPT_FILE_BYTES = 8 * 1024 * 1024
MAX_MISSES = 1000
MISS_SECONDS = 5.0
"""How long a file that nobody has is not asked for again: strangers may ask for as many as they like."""

MAX_BUILDS_ASKED = 4
"""There are two during a rollout."""

MAX_ASKED = 8
"""Of this build, for what one knows by the apps that it has run."""


@dataclass(frozen=True, slots=True)
class PeerFile:
    """An answer of another replica."""

    body: bytes
    headers: tuple[tuple[str, str], ...]


_HEADERS = ("Content-Type", "Content-Encoding", "Etag", "Last-Modified", "Vary", "Cache-Control")

_Key = tuple[str, str, str]


class PeerFiles:
    """Asks one replica of each build other than ``build``, and keeps what it got for a while."""

    def __init__(self, peers: Peers, replica_client: ReplicaClient, build: str) -> None:
        self._peers = peers
        self._replica_client = replica_client
        self._build = build
        self._kept: OrderedDict[_Key, PeerFile] = OrderedDict()
        self._kept_bytes = 0
        self._missed: dict[_Key, float] = {}
        self._asking: dict[_Key, asyncio.Task[PeerFile | None]] = {}

    async def find(self, path: str, query: str, *, gzip: bool, of_apps: bool = False) -> PeerFile | None:
        """The file at ``path`` (below the prefix) with ``query`` (such as ``?v=…``), None if nobody has it.

        Only files with a query are kept: it names their content. With ``of_apps`` replicas of this build are
        asked, too: it is up to what they have run whether they know it.
        """
        key = (path, query, "gzip" if gzip else "identity")
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        if time.monotonic() - self._missed.get(key, float("-inf")) < MISS_SECONDS:
            return None
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(key, of_apps))
        return await asyncio.shield(self._asking[key])

    async def of_each(self, path: str) -> list[bytes]:
        """What each other replica has at ``path`` now, as far as they answer. Raises StoreError."""
        found = await asyncio.gather(*(self._of(replica, path) for replica in await self._peers.alive()))
        return [each for each in found if each is not None]

    async def _of(self, replica: Heartbeat, path: str) -> bytes | None:
        try:
            body: bytes = (await self._replica_client.file(replica, path, "", "identity")).body
        except (HTTPError, OSError) as error:
            log.debug("%s does not have %s: %s", replica.replica, path, error)
            return None
        return body

    async def _ask(self, key: _Key, of_apps: bool) -> PeerFile | None:
        try:
            found = await self._ask_each(*key, of_apps)
        finally:
            del self._asking[key]
        if found is None:
            self._note_miss(key)
        elif key[1]:
            self._keep(key, found)
        return found

    async def _ask_each(self, path: str, query: str, encoding: str, of_apps: bool) -> PeerFile | None:
        try:
            replicas = (await self._peers.of_other_builds(self._build))[:MAX_BUILDS_ASKED]
            if of_apps:
                replicas += [each for each in await self._peers.alive() if each not in replicas][:MAX_ASKED]
        except StoreError as error:
            log.warning("no replica can be asked for %s: %s", path, error)
            return None
        for replica in replicas:
            try:
                response = await self._replica_client.file(replica, path, query, encoding)
            except (HTTPError, OSError) as error:
                log.debug("%s does not have %s%s: %s", replica.replica, path, query, error)
            else:
                log.debug("%s comes from %s", path, replica.replica)
                given = response.headers
                headers = tuple((name, given[name]) for name in _HEADERS if name in given)
                return PeerFile(response.body, headers)
        return None

    def _note_miss(self, key: _Key) -> None:
        if len(self._missed) >= MAX_MISSES:
            self._missed.clear()
        self._missed[key] = time.monotonic()

    def _keep(self, key: _Key, found: PeerFile) -> None:
        if len(found.body) > MAX_KEPT_FILE_BYTES:
            return
        self._kept[key] = found
        self._kept_bytes += len(found.body)
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.body)
