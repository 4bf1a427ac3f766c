"""Somebody else's site: pages of HTML from a port of its own, which makes it another origin."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.browser import Tab


async def show(tab: Tab, html: str, port: int) -> None:
    """Opens a page with `html` in it, from 127.0.0.1:`port`; when this returns the site is gone again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"<!DOCTYPE html><html><link rel=icon href=data:,><body>{html}</body></html>".encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await tab.open(f"http://127.0.0.1:{port}/")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


class Site:
    """A web server of static pages: `site.write("index.html", ...)` gives the page's URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def write(self, body: str) -> str:
        (self._folder / "favicon.ico").touch()
        (self._folder / "index.html").write_text(f"<!DOCTYPE html><title>A site</title><body>{body}</body>")
        return f"http://{self.host}/index.html"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
