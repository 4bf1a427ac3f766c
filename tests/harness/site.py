"""Somebody else's site: one page of HTML from a port of its own, which makes it another origin."""

from __future__ import annotations

import asyncio

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
