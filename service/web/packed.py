"""Static files that travel gzipped: BokehJS takes a third of the bytes then.

Each file is packed once per process, on a thread, when somebody first asks for it; that one gets
it as it is. The packed copies are files in a folder of their own, so that Tornado's handler goes
on doing all the rest. Where no folder can be made files travel as they are.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from tornado.web import HTTPError

from service.web.files import ThreadedStaticHandler

__all__ = ("PackedFiles", "PackedStaticHandler")

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".css", ".html", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".wasm"})
SMALLEST, LARGEST = 1024, 32 * 1024 * 1024
"""Bytes of files that are worth it, and of those that might fill the disk."""
MAX_FILES = 1000
"""Files packed per process."""


_PREFIX = "svc-static-"
_LOCK = "in-use"


def _lock(folder: Path) -> None:
    """Leave a file in ``folder`` that is locked for as long as this process lives."""
    new = folder / "new"
    fcntl.flock(os.open(new, os.O_CREAT | os.O_WRONLY), fcntl.LOCK_EX)  # closed by the end of the process
    new.rename(folder / _LOCK)


def _remove_those_of_the_dead() -> None:
    """A process that is killed leaves its folder."""
    for lock in Path(gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)
        except OSError as error:  # it lives, or it is somebody else's
            log.debug("%s stays: %s", lock.parent, error)


class PackedFiles:
    """Packed copies of files, by path, size and time of change."""

    def __init__(self) -> None:
        _remove_those_of_the_dead()
        self._folder = TemporaryDirectory(prefix=_PREFIX)
        _lock(Path(self._folder.name))
        self._made: dict[tuple[str, int, int], Path | None] = {}
        self._lock = threading.Lock()
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="svc-pack")

    def of(self, path: str) -> Path | None:
        """The packed copy of ``path``; None as long as there is none, and where that would not help.

        Callable from any thread. Reads the disk.
        """
        found = os.stat(path)
        key = path, found.st_size, found.st_mtime_ns
        with self._lock:
            if key not in self._made:
                self._made[key] = None
                if SMALLEST <= found.st_size <= LARGEST and len(self._made) < MAX_FILES:
                    self._packer.submit(self._pack, key)
            return self._made[key]

    def _pack(self, key: tuple[str, int, int]) -> None:
        try:
            packed = self._write(*key)
            small = packed.stat().st_size < key[1]
        except OSError as error:
            log.warning("%s is served uncompressed: %s", key[0], error)
        except Exception:  # nobody looks at what the executor's future holds
            log.exception("%s is served uncompressed", key[0])
        else:
            self._made[key] = packed if small else None

    def _write(self, path: str, size: int, changed: int) -> Path:
        # The same suffix, from which the content type is guessed.
        digest = blake2b(f"{path} {size} {changed}".encode("utf-8", "surrogateescape"), digest_size=12)
        packed = Path(self._folder.name) / f"{digest.hexdigest()}{Path(path).suffix}"
        with open(path, "rb") as plain, packed.open("wb") as file, gzip.GzipFile("", "wb", 6, file, 0) as out:
            shutil.copyfileobj(plain, out)
        os.utime(packed, ns=(changed, changed))
        return packed


_MAKING = threading.Lock()


def _packed_files() -> PackedFiles | None:
    with _MAKING:  # two requests may be the first
        return _make_packed_files()


@cache
def _make_packed_files() -> PackedFiles | None:
    try:
        return PackedFiles()
    except OSError as error:
        log.warning("static files are not compressed: %s", error)
        return None


class PackedStaticHandler(ThreadedStaticHandler):
    """Serves the packed copy to browsers that take it (all do)."""

    async def get(self, path: str, include_body: bool = True) -> None:
        if "\0" in path:  # no file has such a name, and asking for one raises ValueError
            raise HTTPError(404)
        await super().get(path, include_body)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        path = super().validate_absolute_path(root, absolute_path)
        if path is None or Path(path).suffix not in SUFFIXES:
            return path
        self.set_header("Vary", "Accept-Encoding")
        files = _packed_files() if self._takes_gzip() else None
        packed = None if files is None else files.of(path)
        if packed is None:
            return path
        self.set_header("Content-Encoding", "gzip")
        vars(self).pop("_stat_result", None)  # Tornado 6.6 has looked already; it looks again
        return str(packed)

    def _takes_gzip(self) -> bool:
        """A part of a file is a part of the file as it is."""
        headers = self.request.headers
        return "gzip" in headers.get("Accept-Encoding", "") and "Range" not in headers
