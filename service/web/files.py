"""Files over HTTP without reading the disk on the event loop, as Bokeh 3.10 serves them.

A slow disk (a network volume, a cold cache) would stop every session of the replica otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import StaticFileHandler

from service.web.accepting import out_of_files

__all__ = ("ThreadedStaticHandler", "on_file_thread")

log = logging.getLogger(__name__)

T = TypeVar("T")

mimetypes.init()  # reads files, for which there may be no file descriptor left when the first is asked for

_THREADS = ThreadPoolExecutor(4, thread_name_prefix="svc-files")
"""Of their own: apps may fill asyncio's, and pages would wait for their scripts then."""


async def on_file_thread(func: Callable[..., T], *args: Any) -> T:
    """Call ``func``, which may wait for the disk, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, func, *args)


class ThreadedStaticHandler(StaticFileHandler):
    """Tornado's handler (6.5 and 6.6): looks at the file and reads it on threads, writes on the loop.

    So the methods that Tornado calls to answer a request run on a thread: ``validate_absolute_path``,
    ``set_extra_headers``, ``compute_etag``, ...
    """

    async def get(self, path: str, include_body: bool = True) -> None:
        content: list[Iterator[bytes]] = []

        def content_later(*part: Any) -> tuple[()]:
            content.append(iter(type(self).get_content(*part)))
            return ()

        # On the instance: the class's own method also makes the ETag.
        vars(self)["get_content"] = content_later
        await on_file_thread(_run, super().get(path, include_body))
        for chunks in content:
            await self._send(chunks)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if out_of_files(value):
            log.warning("%s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if out_of_files((kwargs.get("exc_info") or (None, None))[1]):
            status_code = 503
            self.set_status(status_code)
            self.set_header("Retry-After", "1")
        super().write_error(status_code, **kwargs)

    async def _send(self, chunks: Iterator[bytes]) -> None:
        while chunk := await on_file_thread(next, chunks, b""):
            try:
                self.write(chunk)
                await self.flush()
            except StreamClosedError:
                return


def _run(answering: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits: Tornado's ``get`` waits for nothing but to send its content."""
    try:
        answering.send(None)
    except StopIteration:
        return
    answering.close()
    raise RuntimeError("Tornado's StaticFileHandler.get waits for something else than its content")
