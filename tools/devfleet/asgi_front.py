"""`python -m devfleet.asgi_front SERVER ...`: what `svc serve ...` serves, as an ASGI application."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable

import hypercorn.asyncio
import hypercorn.config
import uvicorn

from service import logs, settings
from service.apps.loading import load_apps
from service.asgi import Application
from service.cli import serve
from service.settings import Settings


def under_uvicorn(application: Application, options: Settings) -> None:
    host = options.address or "localhost"
    uvicorn.run(application, host=host, port=options.port, log_level="warning", access_log=False)


def under_hypercorn(application: Application, options: Settings) -> None:
    config = hypercorn.config.Config()
    config.bind = [f"{options.address}:{options.port}"]
    config.loglevel = "WARNING"
    asyncio.run(hypercorn.asyncio.serve(application, config))  # type: ignore[arg-type]  # its own types of events


SERVERS: dict[str, Callable[[Application, Settings], None]] = {
    "hypercorn": under_hypercorn,
    "uvicorn": under_uvicorn,
}


def main(server: str, flags: list[str]) -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = settings.from_arguments(vars(parser.parse_args(flags)), os.environ)
    logs.set_up(options.log_level, form=options.log_format, path=options.log_file)
    application = Application(options, load_apps(options.apps, options.args), None)
    logging.getLogger("service.devfleet").info("running at http://%s:%d", options.address, options.port)
    SERVERS[server](application, options)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
