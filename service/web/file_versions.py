"""What a ``?v=`` says of a static file: a browser may keep for years only what it names.

Bokeh's URLs of its own files name their content (:func:`service.web.resources.with_version`), those of an
extension's main script name the version of its package by a digest (bokeh 3.9 and 3.10), and those of
Panel's style sheets by itself.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

__all__ = ("may_name_content", "names_content", "names_package")

LARGEST_HASHED = 64 * 1024 * 1024
"""Bytes of a file that is read to compare it with what its URL names."""

_DIGESTS = {16: "sha256", 32: "md5", 64: "sha256", 128: "sha512"}
"""Digests by their number of hex digits: ours, and those of Tornado's ``static_url`` and other tools."""

_HEX = re.compile(r"[0-9a-f]+")


def may_name_content(version: str) -> bool:
    """Whether ``version`` looks like a digest of a file, rather than some number of an author's own."""
    return len(version) in _DIGESTS and _HEX.fullmatch(version) is not None


def names_content(version: str, file: Path) -> bool:
    """Whether ``version`` is a digest of the file. Reads the file the first time."""
    if not may_name_content(version):
        return False
    found = file.stat()
    if found.st_size > LARGEST_HASHED:
        return False
    digest = _digest(str(file), found.st_size, found.st_mtime_ns, _DIGESTS[len(version)])
    return digest[: len(version)] == version


def names_package(version: str, package_version: str) -> bool:
    """Whether ``version`` is that of an extension's package, as it is or as Bokeh's digest of it."""
    digest = hashlib.sha256(package_version.encode()).hexdigest()
    return bool(package_version) and version in (package_version, digest)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, changed: int, algorithm: str) -> str:
    """``size`` and ``changed`` (time of the last change) make it look again when the file is another."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
