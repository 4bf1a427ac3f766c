"""The Lua scripts of ``lua/``, read when this is imported, and the commands that run them.

Not when they are first needed: there may be no file descriptor left then.

A script is sent by its SHA1 digest; :mod:`store.link` sends the text when the server does not
have it, so flushing the server's script cache is harmless at any time. With large values it
sends the text at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any

from store.pieces import Pieces

__all__ = ("Command", "Script", "load")


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as sent; with what it takes to send a script as text."""

    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    """What redis-py needs to know to read the reply."""
    script: Script | None = None
    weight: int = 1
    """How many others' room it takes in a pipeline that is shared: more, where its reply may be large."""

    @property
    def is_large(self) -> bool:
        """Whether the script's text is little beside its values: large ones are :class:`Pieces`."""
        return self.script is not None and any(type(arg) is Pieces for arg in self.args)

    def as_text(self) -> Command:
        """The same for a server that does not know the script."""
        assert self.script is not None
        return Command(("EVAL", self.script.text, *self.args[2:]))


@dataclass(frozen=True, slots=True)
class Script:
    """One file of ``lua/``."""

    name: str
    text: str
    digest: str
    """Redis's name for it."""

    def __call__(self, keys: list[str], *args: Any) -> Command:
        return Command(("EVALSHA", self.digest, len(keys), *keys, *args), script=self)


def load(name: str) -> Script:
    return _SCRIPTS[name]


def _read_all() -> dict[str, Script]:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in _LUA.glob("*.lua")}
    prelude = texts.pop("_prelude")
    families = {name.strip("_"): texts.pop(name) for name in sorted(texts) if name.startswith("_")}
    # What sessions see of jobs are shared values.
    families["job"] = f"{families['shared']}\n{families['job']}"
    before = {name: f"{prelude}\n{families.get(name.partition('_')[0], '')}" for name in texts}
    return {name: _script(name, f"{before[name]}\n{text}") for name, text in texts.items()}


def _script(name: str, text: str) -> Script:
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_LUA = Path(__file__).with_name("lua")
_SCRIPTS = _read_all()
