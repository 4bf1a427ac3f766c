"""``@fleet.cache``: what one replica has computed all use, and of many that ask at once one computes."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import lru_cache, update_wrapper
from typing import Any, Protocol, TypeVar, overload

from service.apps.app import App
from service.apps.app_code import AppCode
from service.apps.contexts import current_app
from service.documents.arguments import code_digest, key_of
from service.documents.results import packed_result, unpacked_result
from service.errors import FleetUnavailable
from service.fleet.results import Answer, ComputeLease, Found, Raised, ReplicaResults, Wanted
from service.fleet.store_thread import StoreThread, on_event_loop
from service.limits import MAX_NAME_LENGTH
from service.metrics import FleetMeter
from store.results import ResultName

__all__ = ("DEFAULT_MAX_BYTES", "AppResults", "Cached", "Plan", "Unstorable", "cache", "results_of_app")

DEFAULT_MAX_BYTES = 256 * 2**20
MAX_BYTES = 16 * 2**30
LARGE = 256 * 1024
"""Bytes from which reading a result would keep an event loop waiting."""

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_computing: ContextVar[frozenset[tuple[ResultName, str]]] = ContextVar("computing", default=frozenset())
"""What the code that runs is about to compute."""


class Cached(Protocol[R_co]):
    """A function whose results the fleet shares. Made by :func:`cache`."""

    __wrapped__: Callable[..., Any]
    """The function itself: it computes, and keeps nothing."""

    def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...

    def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Forget the result for these arguments, or all results if there are none, on all replicas.

        What is being computed right now is not kept. Raises FleetUnavailable when Redis does not answer, and
        RuntimeError on an event loop, where nothing may wait: there await :meth:`ainvalidate`.
        """

    async def ainvalidate(self, *args: Any, **kwargs: Any) -> None:
        """As :meth:`invalidate`, for coroutines."""


@overload
def cache(func: Callable[..., T], /) -> Cached[T]: ...
@overload
def cache(
    *,
    ttl: float | timedelta | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    version: str | None = None,
    ignore: Collection[str] = (),
    name: str | None = None,
) -> Callable[[Callable[..., T]], Cached[T]]: ...
def cache(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Have ``func`` computed once for all replicas, as ``@fleet.cache`` or ``@fleet.cache(ttl=60, ...)``.

    ``func`` is a plain function or a coroutine function. The first one to call it with some arguments
    computes; who else asks meanwhile, on whichever replica, waits for that. Each caller gets a copy of his
    own.

    ``ttl``: seconds (or a timedelta) after which it is computed again; without, a result goes a month after
    its last use. ``max_bytes``: what all results of the function may have together, 256 MiB if not said
    otherwise; those go first that were not used for longest. One may have 64 MiB: what is larger is
    computed each time, and a log line says so. ``version``: results of another version are not read; without,
    those that other code of the function or of the app has computed. ``ignore``: arguments that have no say
    in the result, such as a connection. ``name``: what the function is called among those of the app, if its
    own name will not do.

    Arguments are compared by content, arrays and frames, too. Calling it raises TypeError for arguments that
    cannot be, and for a result that cannot be stored. What ``func`` raises goes to its caller and to those
    who wait on the same replica; the others try it themselves. While Redis is away each replica computes for
    itself.

    Outside of ``svc serve`` it caches within the process.
    """
    if func is None:
        return lambda func: _decorated(func, **options)
    return _decorated(func, **options)


def _decorated(func: Callable[..., Any], **options: Any) -> Any:
    plan = Plan(func, **options)
    wrapper: Any
    if inspect.iscoroutinefunction(func):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await plan.acall(args, kwargs)
    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return plan.call(args, kwargs)

    update_wrapper(wrapper, func)
    wrapper.invalidate, wrapper.ainvalidate = plan.invalidate, plan.ainvalidate
    return wrapper


class Plan:
    """One function whose results are kept."""

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        ttl: float | timedelta | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        version: str | None = None,
        ignore: Collection[str] = (),
        name: str | None = None,
    ) -> None:
        _check_function(func)
        self._func = func
        self._ttl = _seconds(ttl)
        if not 0 < max_bytes <= MAX_BYTES:
            raise ValueError(f"max_bytes must be between 1 and {MAX_BYTES}, not {max_bytes}")
        self._max_bytes = max_bytes
        self._signature = inspect.signature(func)
        self._ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        if unknown := self._ignored - set(self._signature.parameters):
            raise ValueError(f"{_name_of(func)} has no argument {', '.join(sorted(unknown))} to ignore")
        self._version = version
        self._code = "" if version is not None else _code_of(func)
        self.name = _name_of(func) if name is None else name
        if not 0 < len(self.name) <= MAX_NAME_LENGTH:
            raise ValueError(
                f"the name of a function has 1 to {MAX_NAME_LENGTH} characters, not {len(self.name)}"
            )

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        results = results_of_app()
        return results.call(self.wanted(results, args, kwargs), lambda: self._func(*args, **kwargs))

    async def acall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        results = results_of_app()
        return await results.acall(self.wanted(results, args, kwargs), lambda: self._func(*args, **kwargs))

    def invalidate(self, *args: Any, **kwargs: Any) -> None:
        if on_event_loop() and current_app.get() is not None:  # a notebook is on one, and nobody waits
            raise RuntimeError(
                "this would keep the event loop, and so all sessions, waiting: await ainvalidate(...)"
            )
        results = results_of_app()
        results.forget(results.name(self.name), self._forgotten(results, args, kwargs))

    async def ainvalidate(self, *args: Any, **kwargs: Any) -> None:
        results = results_of_app()
        await results.aforget(results.name(self.name), self._forgotten(results, args, kwargs))

    def _forgotten(self, results: AppResults, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        return self._key(results, args, kwargs) if args or kwargs else None

    def wanted(self, results: AppResults, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Wanted:
        key = self._key(results, args, kwargs)
        return Wanted(results.name(self.name), key, self._ttl, self._max_bytes)

    def _key(self, results: AppResults, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Raises TypeError."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = {name: value for name, value in bound.arguments.items() if name not in self._ignored}
        version = [self._version] if self._version is not None else [self._code, results.version]
        try:
            return key_of(version, values)
        except TypeError:
            self._say_which(values)
            raise

    def _say_which(self, values: dict[str, Any]) -> None:
        """Raises TypeError for the argument that is to blame."""
        for name, value in values.items():
            try:
                key_of(value)
            except TypeError as error:
                raise TypeError(
                    f"{self.name}: the argument {name!r} cannot be compared with that of other calls: "
                    f"{error}; give what it is made of, or ignore it: @fleet.cache(ignore={name!r})"
                ) from None


def _check_function(func: Callable[..., Any]) -> None:
    if not callable(func):
        raise TypeError(f"fleet.cache is for functions, not {type(func).__name__}: @fleet.cache(ttl=...)")
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError("a generator cannot be cached: return a list")


def _seconds(ttl: float | timedelta | None) -> float:
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds is None:
        return 0.0
    if not 0 < seconds <= 10 * 366 * 86400:
        raise ValueError(f"a ttl is a number of seconds above zero, up to ten years, not {ttl!r}")
    return float(seconds)


def _name_of(func: Callable[..., Any]) -> str:
    """The same on all replicas: bokeh (3.9 and 3.10) gives a session's script a module name of its own."""
    name = getattr(func, "__qualname__", None)
    if name is None:
        raise ValueError(f"{func!r} has no name: give it one, @fleet.cache(name=...)")
    module = str(getattr(func, "__module__", ""))
    return str(name) if module.startswith("bokeh_app_") or module == "__main__" else f"{module}.{name}"


def _code_of(func: Callable[..., Any]) -> str:
    closed_over = inspect.getclosurevars(func).nonlocals if getattr(func, "__closure__", None) else {}
    return code_digest(func, closed_over)


# -- the results of an app ---------------------------------------------------------------------


class Unstorable(TypeError):
    """A result cannot be stored; ``value`` is what it is."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value


class AppResults:
    """What the functions of one app have computed."""

    def __init__(self, results: ReplicaResults, app: str, version: Callable[[], str]) -> None:
        self._results = results
        self._app = app
        self._version = version
        self._process = os.getpid()
        self.panel: Any = None
        """What caches for ``pn.cache``, too; None where that is Panel's matter."""

    @classmethod
    def of(cls, results: ReplicaResults, app: App) -> AppResults:
        return cls(results, app.path, AppCode(app))

    @property
    def version(self) -> str:
        """Another one when the app's code is."""
        return self._version()

    def name(self, name: str) -> ResultName:
        return ResultName(self._app, name)

    def call(self, wanted: Wanted, func: Callable[[], Any]) -> Any:
        """The result of ``func``, computed here or elsewhere. Raises what that raises, and Unstorable."""
        if os.getpid() != self._process:  # a child process has no thread to ask
            return func()
        unreadable = ""
        while True:
            answer = self._answer(wanted, unreadable)
            match answer:
                case Found(id=id_, data=data):
                    try:
                        return self._counted(wanted, unpacked_result(data))
                    except ValueError:
                        if unreadable:  # another release writes it, again and again
                            return func()
                        unreadable = id_
                case Raised(error=error):
                    raise error
                case ComputeLease():
                    return self._compute(answer, func)
                case None:
                    return func()

    async def acall(self, wanted: Wanted, func: Callable[[], Awaitable[Any]]) -> Any:
        """As :meth:`call`, for coroutines."""
        if os.getpid() != self._process:
            return await func()
        unreadable = ""
        while True:
            answer = await self._aanswer(wanted, unreadable)
            match answer:
                case Found(id=id_, data=data):
                    try:
                        return self._counted(wanted, await _unpacked(data))
                    except ValueError:
                        if unreadable:
                            return await func()
                        unreadable = id_
                case Raised(error=error):
                    raise error
                case ComputeLease():
                    return await self._acompute(answer, func)
                case None:
                    return await func()

    def forget(self, name: ResultName, key: str | None) -> None:
        """Raises FleetUnavailable."""
        self._results.thread.wait(lambda store: self._results.forget(store, name, key))

    def forget_soon(self, name: str) -> None:
        """All results of a function; nobody waits for it. Raises FleetUnavailable."""
        self._results.thread.submit(lambda store: self._results.forget(store, self.name(name), None))

    async def aforget(self, name: ResultName, key: str | None) -> None:
        await self._results.thread.awaited(lambda store: self._results.forget(store, name, key))

    # -- asking ----------------------------------------------------------------------------------

    def _answer(self, wanted: Wanted, unreadable: str) -> Answer | None:
        """None: nobody can be asked."""
        self._check_recursion(wanted)
        thread, ask = self._results.thread, self._results.ask
        try:
            if on_event_loop():
                # All sessions would wait for others' work; doing it here takes as long as without a cache.
                return thread.wait(lambda store: ask(store, wanted, wait=False, unreadable=unreadable))
            return thread.submit(lambda store: ask(store, wanted, unreadable=unreadable)).result()
        except (FleetUnavailable, CancelledError):
            return None

    async def _aanswer(self, wanted: Wanted, unreadable: str) -> Answer | None:
        self._check_recursion(wanted)
        task, ask = asyncio.current_task(), self._results.ask
        try:
            asked: Future[Answer] = self._results.thread.submit(
                lambda store: ask(store, wanted, unreadable=unreadable)
            )
            return await asyncio.wrap_future(asked)
        except FleetUnavailable:
            return None
        except asyncio.CancelledError:
            if task is not None and task.cancelling():
                raise
            return None

    def _check_recursion(self, wanted: Wanted) -> None:
        # What the function has begun, such as a task, may go on for longer than it does.
        if wanted.id in _computing.get() and self._results.computes(wanted):
            raise RuntimeError(f"{wanted.name.name} calls itself with the same arguments")

    def _counted(self, wanted: Wanted, value: Any) -> Any:
        self._results.meter.results(wanted.name.app, wanted.name.name).hits.inc()
        return value

    # -- computing -------------------------------------------------------------------------------

    def _compute(self, turn: ComputeLease, func: Callable[[], Any]) -> Any:
        try:
            with self._computing(turn.wanted):
                value = func()
            data, copy = _packed(turn.wanted, value)
        except Exception as error:
            self._tell_failed(turn, error)
            raise
        except BaseException:
            self._tell(lambda store: self._results.abandoned(store, turn))
            raise
        self._tell(lambda store: self._results.computed(store, turn, data))
        return copy

    async def _acompute(self, turn: ComputeLease, func: Callable[[], Awaitable[Any]]) -> Any:
        try:
            with self._computing(turn.wanted):
                value = await func()
            data, copy = await asyncio.to_thread(_packed, turn.wanted, value)
        except Exception as error:
            self._tell_failed(turn, error)
            raise
        except BaseException:
            self._tell(lambda store: self._results.abandoned(store, turn))
            raise
        self._tell(lambda store: self._results.computed(store, turn, data))
        return copy

    @contextmanager
    def _computing(self, wanted: Wanted) -> Iterator[None]:
        token = _computing.set(_computing.get() | {wanted.id})
        try:
            with self._results.meter.results(wanted.name.app, wanted.name.name).computing():
                yield
        finally:
            _computing.reset(token)

    def _tell_failed(self, turn: ComputeLease, error: Exception) -> None:
        self._tell(lambda store: self._results.failed(store, turn, error))

    def _tell(self, work: Callable[[Any], Any]) -> None:
        """Nobody waits for it."""
        try:
            self._results.thread.submit(work)
        except FleetUnavailable:
            return


def results_of_app() -> AppResults:
    """Those of the app whose code this is, or of this process."""
    app = current_app.get()
    found = None if app is None else app.results
    return found if isinstance(found, AppResults) else _of_process(os.getpid())


@lru_cache(maxsize=1)
def _of_process(_: int) -> AppResults:
    """For code that no server runs."""
    from store.connect import open_store  # there is nobody else to do it

    thread = StoreThread(open_store(None).twin)
    return AppResults(ReplicaResults(thread, FleetMeter()), "", lambda: "")


def _packed(wanted: Wanted, value: Any) -> tuple[bytes, Any]:
    """As it is stored, and a copy made of that, which is what all callers get. Raises Unstorable."""
    try:
        data = bytes(packed_result(value))
        return data, unpacked_result(data)
    except (TypeError, ValueError) as error:
        raise Unstorable(f"the result of {wanted.name.name} cannot be shared: {error}", value) from None


async def _unpacked(data: bytes) -> Any:
    return unpacked_result(data) if len(data) <= LARGE else await asyncio.to_thread(unpacked_result, data)
