"""One server as a process: until a signal, an operator, or the end of its parent asks it to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import webbrowser
from importlib import import_module

from service import stop_signals
from service.apps.app import App
from service.apps.loading import load_apps, with_app_at_root
from service.background import spawn
from service.errors import ConfigError
from service.exit_codes import SUCCESS
from service.listening import Inherited
from service.plugins import run_setup
from service.server import Server
from service.settings import Settings
from service.web.accepting import raise_file_limit
from store.errors import StoreConfigError

__all__ = ("run",)

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""After which a thread that computes has to let another one run: a fifth of Python's own (3.11 to 3.14).

The event loop gives its turn away with each read and write of a socket, and gets it back after as many
intervals as there are threads at work, as when many sessions are built at once.
"""


def run(settings: Settings, inherited: Inherited | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or until the parent of ``inherited`` is gone; the exit status.

    Raises ConfigError and AppLoadError when it cannot begin.
    """
    log.debug("%d files may be open", raise_file_limit())
    sys.setswitchinterval(SWITCH_SECONDS)
    if settings.setup is not None:
        run_setup(settings.setup)
    status = asyncio.run(_run(settings, inherited))
    # The interpreter collects garbage as it ends, which looks at every object of every module: half a second
    # of CPU (Bokeh 3.10 on Python 3.13). All of that ends with the process.
    gc.freeze()
    return status


async def _run(settings: Settings, inherited: Inherited | None) -> int:
    server = Server(settings, _apps(settings), inherited)
    stopping = server.asked_to_stop
    loop = asyncio.get_running_loop()
    stop_signals.take(loop, stopping.set)
    if inherited is not None:
        loop.add_reader(inherited.lifeline, stopping.set)
        os.close(inherited.ready)
    starting = asyncio.create_task(_start(server))
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await waiting
    finally:
        starting.cancel()
        waiting.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        await server.stop()
    log.info("stopped")
    return SUCCESS


def _apps(settings: Settings) -> dict[str, App]:
    developing = settings.dev is not None
    apps = load_apps(settings.apps, settings.args, patterns=settings.glob, broken_too=developing)
    return apps if settings.root_app is None else with_app_at_root(apps, settings.root_app)


async def _start(server: Server) -> None:
    log.info("replica %s listens on port %d", server.replica, server.port)
    try:
        await server.start()
    except StoreConfigError as error:
        raise ConfigError(f"--redis: {error}") from error
    for url in server.urls:
        log.info("Bokeh app running at: %s", url)
        if server.settings.show:
            webbrowser.open_new_tab(url)
    # No session waits for what most apps import, and neither does whoever waits for this replica.
    spawn(asyncio.to_thread(import_module, "bokeh.plotting"))
