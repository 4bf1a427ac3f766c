"""`python -m devfleet.bokeh_asgi APP ... [flags]`: Bokeh's own ASGI application (3.10) under uvicorn, as
`bokeh serve` with the same flags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn
from bokeh.server.asgi import BokehASGI


def main(flags: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("apps", nargs="+", type=Path)
    parser.add_argument("--address")
    parser.add_argument("--port", type=int)
    parser.add_argument("--prefix")
    parser.add_argument("--allow-websocket-origin", action="append")
    parser.add_argument("--unused-session-lifetime", type=int, default=15_000)
    given = parser.parse_args(flags)
    application = BokehASGI(
        {f"/{app.stem}": app for app in given.apps},
        prefix=given.prefix,
        extra_websocket_origins=given.allow_websocket_origin,
        unused_session_lifetime_milliseconds=given.unused_session_lifetime,
    )
    sys.stdout.write(f"running at http://{given.address}:{given.port}\n")
    sys.stdout.flush()
    uvicorn.run(application, host=given.address, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])
