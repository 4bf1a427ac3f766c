"""``--dev``: when a file of the app changes, the app is read anew and its pages show it.

Sessions leave and their clients are told to come back at once, which restores the session with the new
code as after a deploy: inputs with a name stay, and so does the page. An app that cannot be read shows
why, until it can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from service.apps.app import App
from service.apps.loading import reload_app
from service.background import ends_within, spawn
from service.close_codes import APP_CHANGED
from service.errors import AppCodeAbandoned, AppLoadError, ConfigError
from service.sessions.departures import Departures
from service.sessions.life import Reason, State
from service.sessions.registry import Registry, SessionSlot
from service.timings import STUCK_SECONDS
from service.web.resources import PageResources
from service.web.websocket import Socket

__all__ = ("Reloader", "watched_files")

log = logging.getLogger(__name__)

INTERVAL = 0.3
"""Seconds between looks at the files."""

SKEW_NS = 50_000_000
"""Nanoseconds that a file's time may be behind the clock."""

SETTLED = 0.05
"""Seconds between two looks that have to see the same before the app is read."""

SETTLING_LOOKS = 20
"""After which it is read in any case: something may write all the time."""

FIRST_PULL_LOOKS = 50
FIRST_PULL_SECONDS = 1.0
"""How long a page that has just connected may take to ask for its Document."""

SUFFIXES = {".py", ".ipynb", ".html", ".css", ".js", ".ts", ".yaml", ".yml"}


class Reloader:
    """Watches one app, and ``extra`` files beside it. Raises ConfigError when one does not exist."""

    def __init__(
        self,
        app: App,
        argv: Sequence[str],
        extra: Iterable[str],
        registry: Registry,
        departures: Departures,
        resources: PageResources,
        websockets: Collection[Socket],
    ) -> None:
        assert app.file is not None, "apps that are developed are files"
        self._path = app.file
        self._app = app
        self._argv = argv
        self._extra = [Path(name) for name in extra]
        self._registry = registry
        self._departures = departures
        self._resources = resources
        self._websockets = websockets
        self._seen: dict[Path, tuple[int, int]] = {}
        self._looked = 0
        for missing in (name for name in self._extra if not name.is_file()):
            raise ConfigError(f"--dev: {missing} is no file that could be watched")

    async def run(self) -> None:
        """Until cancelled."""
        self._seen, self._looked = self._look(), time.time_ns()
        log.info("watching %d files for changes", len(self._seen))
        while True:
            await asyncio.sleep(INTERVAL)
            if self._differs(self._look()):
                self._seen = await self._settled()
                await self.reload()

    async def reload(self) -> None:
        """Read the app anew, and begin its sessions again."""
        log.info("reloading %s", self._path)
        if not await ends_within(STUCK_SECONDS, self._app.unload()):
            log.error("on_server_unloaded does not return: continuing without it")
        try:
            reload_app(self._app, self._path, self._argv)
        except AppLoadError as error:
            self._app.breaks(str(error))
            log.error("%s", error)
        self._outdate_builds()
        self._resources.forget()
        await self._load()
        self._outdate_builds()  # those that did not wait for the hooks
        # Those that come meanwhile have come for the new code. One without an answer waits for its
        # session still, and BokehJS (3.9 and 3.10) does not come back where its first connection is closed.
        before = [each for each in self._websockets if each.answered and self._is_of_app(each)]
        held = [each for each in self._registry.held() if each.key.app == self._app.path]
        slots = [each for each in held if each.life.state in (State.LIVE, State.ASLEEP)]
        await asyncio.gather(*map(self._renew, slots))
        for websocket in before:  # of pages that show why there is no session
            websocket.close(*APP_CHANGED)

    def _is_of_app(self, websocket: Socket) -> bool:
        """Other apps' pages go on; of a relay it is not known whose it is."""
        path = websocket.about
        return not path.endswith("/ws") or path.endswith(f"{self._app.path.rstrip('/')}/ws")

    async def _renew(self, slot: SessionSlot) -> None:
        """Once its pages have their Document: BokehJS (3.9 and 3.10) gives up when its first pull fails."""
        for _ in range(FIRST_PULL_LOOKS):
            if all(each.subscribed for each in slot.connections):
                break
            await asyncio.sleep(FIRST_PULL_SECONDS / FIRST_PULL_LOOKS)
        await self._departures.leave(slot, Reason.RENEWED)

    def _outdate_builds(self) -> None:
        """What is being built is built anew when the app has run through, and soon in any case."""
        self._app.outdate()
        loop = asyncio.get_running_loop()
        building = [each for slot, each in self._registry.being_built() if slot.key.app == self._app.path]
        for attempt in building:
            loop.call_later(STUCK_SECONDS, attempt.give_up, AppCodeAbandoned("the app has changed"))
        if building:
            log.info("%d sessions that are being built are built anew", len(building))

    async def _load(self) -> None:
        """Run the hooks to their end, or to the next change: they may take long, but not for ever."""
        loading = spawn(self._app.load())
        while not (await asyncio.wait([loading], timeout=INTERVAL))[0] and not self._differs(self._look()):
            pass
        if not loading.done():
            log.error("on_server_loaded does not return: continuing without it")
            loading.cancel()

    async def _settled(self) -> dict[Path, tuple[int, int]]:
        """What is there once two looks have seen the same: a file that is saved may be empty at first."""
        now = self._look()
        for _ in range(SETTLING_LOOKS):
            await asyncio.sleep(SETTLED)
            before, now = now, self._look()
            if now == before:
                break
        return now

    def _differs(self, now: dict[Path, tuple[int, int]]) -> bool:
        """Whether a file was changed, is new or gone; not whether the app imports more of them, or less."""
        last_look, self._looked = self._looked, time.time_ns() - SKEW_NS
        if now == self._seen:
            return False
        own = {*watched_files(self._path), *self._extra}
        differs = any(not path.exists() for path in self._seen.keys() - now.keys()) or any(
            self._seen.get(path) != stat
            for path, stat in now.items()
            if path in self._seen or path in own or stat[0] > last_look
        )
        if not differs:
            self._seen = {**self._seen, **now}
        return differs

    def _look(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in {*watched_files(self._path), *self._app.imports.files(), *self._extra}:
            try:
                stat = path.stat()
            except OSError:
                continue  # gone since the directory was read
            found[path] = (stat.st_mtime_ns, stat.st_size)
        return found


def watched_files(path: Path) -> list[Path]:
    """The app's files, imported or not: all of its directory, or a script and the modules beside it."""
    if path.is_dir():
        return [each for each in path.rglob("*") if each.suffix in SUFFIXES]
    return [path, *path.parent.glob("*.py")]
