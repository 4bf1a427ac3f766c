"""The Lua scripts of ``lua/``, read once, and the commands that run them.

A script is sent by its SHA1 digest; :mod:`store.link` sends the text when the server does not
have it, so flushing the server's script cache is harmless at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

__all__ = ("Command", "Script", "load")


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as sent; with what it takes to send a script as text."""

    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    """What redis-py needs to know to read the reply."""
    script: Script | None = None

    def as_text(self) -> Command:
        """The same for a server that does not know the script."""
        assert self.script is not None
        return Command(("EVAL", self.script.text, *self.args[2:]))


@dataclass(frozen=True, slots=True)
class Script:
    """One file of ``lua/``."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        return _digest(self.text)

    def __call__(self, keys: list[str], *args: Any) -> Command:
        return Command(("EVALSHA", self.digest, len(keys), *keys, *args), script=self)


@cache
def load(name: str) -> Script:
    return Script(name, f"{_read('_prelude')}\n{_read(name)}")


@cache
def _digest(text: str) -> str:
    # Redis's name for the script, not a matter of security.
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(name: str) -> str:
    return Path(__file__).with_name("lua").joinpath(f"{name}.lua").read_text(encoding="utf-8")
