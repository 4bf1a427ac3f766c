"""Deterministic model ids: the same app code gives the same ids on any replica.

While code of a session runs, its :class:`IdSpace` is current, and each new model takes its id
from there instead of from Bokeh's process-wide counter.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

import bokeh.model.model as bokeh_model
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import ImportedStyleSheet
from bokeh.util.serialization import make_id as bokeh_make_id

__all__ = ("IdSpace", "Ids", "InputIds", "OnWired", "current_ids", "install", "new_document")

bokeh_new = Model.__new__

OnWired: TypeAlias = Callable[[Any, tuple[Any, ...]], None]
"""Takes a model and the Python callbacks that it just got."""


class Ids(Protocol):
    """Where new models take their ids from."""

    @property
    def prefix(self) -> str: ...

    @property
    def tracked(self) -> dict[str, Any] | None: ...

    @property
    def on_wired(self) -> OnWired | None: ...

    @property
    def space(self) -> IdSpace: ...

    def make(self) -> ID: ...

    def branch(self) -> Ids: ...


class IdSpace:
    """Model ids ``p<8 hex digits of the session>-<n>``, counted from 1.

    Two sessions of one process never share an id space, so ids stay unique within a process as
    libraries such as Panel expect.
    """

    __slots__ = (
        "_branches", "_numbers", "count", "lock", "mark", "on_wired", "prefix", "threads", "tracked",
    )  # fmt: skip

    def __init__(self, session: str, count: int = 0) -> None:
        digest = blake2b(session.encode(), digest_size=4).hexdigest()
        self.prefix = f"p{digest}-"
        self.count = count
        self.tracked: dict[str, Any] | None = None
        """When a dict, new models are added to it by id."""
        self.on_wired: OnWired | None = None
        """Called on the thread that adds callbacks."""
        self.mark = ""
        """Ends the ids of threads, once they are made in an order that no other run repeats."""
        self.threads = 0
        """That code of this space has begun, and which are not over."""
        self._branches = itertools.count(1)
        self._numbers = itertools.count(secrets.randbits(_NUMBER_BITS))
        self.lock = threading.Lock()
        """Held while an id is made: a thread of ``asyncio.to_thread`` makes them, too."""

    @contextmanager
    def thread(self) -> Iterator[None]:
        """Around the run of one."""
        with self.lock:
            self.threads += 1
        try:
            yield
        finally:
            with self.lock:
                self.threads -= 1

    @property
    def space(self) -> IdSpace:
        return self

    def number(self, model_id: str) -> int:
        """Which number a model id of this space has; 0 if it is no id of this space."""
        if not model_id.startswith(self.prefix):
            return 0
        rest = model_id.removeprefix(self.prefix)
        return int(rest) if rest.isdecimal() else 0

    def is_of_input(self, model_id: str) -> bool:
        """Whether something made the model that followed from an input (see :class:`InputIds`)."""
        return model_id.startswith(self.prefix) and "i" in model_id.removeprefix(self.prefix)

    def make(self) -> ID:
        with self.lock:
            self.count += 1
            return ID(f"{self.prefix}{self.count}")

    def branch(self) -> Branch:
        """Ids for a thread. Those of this space go on as if there were none."""
        return Branch(self, f"{next(self._branches)}t")

    def of_input(self, place: int = 0) -> InputIds:
        """Ids for what follows from an input of a client; with its ``place`` those that it had."""
        if not place:
            return InputIds(self, next(self._numbers) % (1 << _NUMBER_BITS))
        number, count = divmod(-place - 1, 1 << _COUNT_BITS)
        return InputIds(self, number, count)

    def built(self) -> None:
        """The app's run is over: what threads make from here on is made at no certain time.

        A thread of the next run, on another replica, must not give the same ids to other models.
        """
        self.mark = f"x{secrets.token_hex(3)}"


class InputIds:
    """Model ids ``<prefix><number of the input>i<n>``: the same again whenever the input is repeated.

    One count for the whole session would not do. What an input puts off runs when there is time for it, after
    others or between them, and each repetition would get other ids as soon as two of them took other turns.
    """

    __slots__ = ("_branches", "_start", "over", "place", "space")

    def __init__(self, space: IdSpace, number: int, count: int = 0) -> None:
        self.space = space
        self.over = False
        """It was repeated for a restore, which is over: what still goes on makes other models than it did."""
        self._start = start = -(number << _COUNT_BITS) - 1
        self.place = start - count
        """For :meth:`IdSpace.of_input`. Below zero: earlier releases keep the session's count there."""
        self._branches = 0

    @property
    def prefix(self) -> str:
        return self.space.prefix

    @property
    def _name(self) -> str:
        return f"{-self._start - 1 >> _COUNT_BITS:x}i"

    @property
    def tracked(self) -> dict[str, Any] | None:
        return self.space.tracked

    @property
    def on_wired(self) -> OnWired | None:
        return self.space.on_wired

    def make(self) -> ID:
        if self.over:
            return self.space.make()
        with self.space.lock:
            self.place -= 1
            return ID(f"{self.prefix}{self._name}{self._start - self.place}")

    def branch(self) -> Branch:
        """Ids for a thread that the input begins."""
        with self.space.lock:
            self._branches += 1
            return Branch(self.space, f"{self._name}{self._branches}t", self)


_NUMBER_BITS = 40
"""Counted from a random number, so that owners need not tell each other which they used. Fits, as the other
does, into a stored integer."""

_COUNT_BITS = 20


class Branch:
    """Model ids ``<prefix><number of the thread>t<n>``: the same on any replica, if the app's run waits for
    its threads. Those that an input begins are numbered within it.
    """

    __slots__ = ("_branches", "_count", "_name", "_source", "_space")

    def __init__(self, space: IdSpace, name: str, source: InputIds | None = None) -> None:
        self._space = space
        self._name = name
        self._source = source
        self._count = itertools.count(1)
        self._branches = itertools.count(1)

    @property
    def space(self) -> IdSpace:
        return self._space

    @property
    def prefix(self) -> str:
        return self._space.prefix

    @property
    def tracked(self) -> dict[str, Any] | None:
        return self._space.tracked

    @property
    def on_wired(self) -> OnWired | None:
        return self._space.on_wired

    def make(self) -> ID:
        space, source = self._space, self._source
        if source is not None and source.over:
            return space.make()
        mark = space.mark if source is None else ""
        return ID(f"{space.prefix}{self._name}{next(self._count)}{mark}")

    def branch(self) -> Branch:
        """Ids for a thread that this thread begins."""
        return Branch(self._space, f"{self._name}{next(self._branches)}t", self._source)


current_ids: ContextVar[Ids | None] = ContextVar("current_ids", default=None)


def make_id() -> ID:
    ids = current_ids.get()
    return bokeh_make_id() if ids is None else ids.make()


def new_document(ids: IdSpace) -> Document:
    """An empty Document whose own models (its config) have ids of ``ids``, too."""
    token = current_ids.set(ids)
    try:
        return Document()
    finally:
        current_ids.reset(token)


def tracking_new(cls: type[Model], *args: Any, id: ID | None = None, **kwargs: Any) -> Model:  # noqa: A002
    ids = current_ids.get()
    if cls is ImportedStyleSheet and type(ids) is InputIds:
        model = _new_apart(ids, cls, *args, id=id, **kwargs)
    else:
        model = bokeh_new(cls, *args, id=id, **kwargs)
    if ids is not None and ids.tracked is not None:
        ids.tracked[model.id] = model
    return model


def _new_apart(ids: InputIds, cls: type[Model], *args: Any, **kwargs: Any) -> Model:
    """A model that no other id of the input depends on.

    Panel (1.9 and 1.10) makes a model for each of its style sheets once per Document. Whether an input makes
    them depends on the inputs before it, which need not be repeated.
    """
    token = current_ids.set(ids.space.of_input())
    try:
        return bokeh_new(cls, *args, **kwargs)
    finally:
        current_ids.reset(token)


def install() -> None:
    """Route new models through the current id space. Idempotent.

    bokeh 3.9: ``Model.__new__`` looks up ``make_id`` in its own module each time it is called,
    and nothing else in that module uses it. Each model is made through ``Model.__new__``.
    """
    bokeh_model.make_id = make_id  # type: ignore[attr-defined]
    Model.__new__ = tracking_new  # type: ignore[assignment, method-assign]
