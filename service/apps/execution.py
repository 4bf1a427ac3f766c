"""The one seam through which all app code runs.

It sets what must be in place while app code runs (model ids, ``curdoc``, whose imports these are) and
takes it away again, also when the code fails. All of it is in context variables, which belong to a task or
thread: other sessions run meanwhile. Plain functions run on a thread of the pool where there is one,
coroutines on the event loop; of one session never both at once. Code that runs for long is named, see
:mod:`service.apps.slow`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from types import CoroutineType, FunctionType, MethodType
from typing import Any, TypeVar

from bokeh.document import Document
from bokeh.document.locking import UnlockedDocumentProxy

from service.apps import working_folder
from service.apps.app_directories import AppDirectory, running_app
from service.apps.contexts import AppServerContext, begin_draft, current_app, end_draft
from service.apps.imports import ImportSpace
from service.apps.panel import note_thread
from service.apps.raised import STRAY, as_exception, is_stray
from service.apps.steps import Step, stepwise
from service.apps.worker_pool import WAIT_SECONDS, Job, Workers
from service.documents.curdoc import current_documents
from service.documents.ids import Ids, IdSpace, OnWired, current_ids
from service.documents.wiring import Input, current_input

__all__ = ("Execution", "is_coroutine_function")


T = TypeVar("T")

_NO_FACTS: Mapping[str, str] = {}


class Execution:
    """How code of one session (or of one app, for server hooks) is run.

    ``workers`` are the app's share of the threads; None: everything runs on the event loop.
    """

    def __init__(
        self,
        imports: ImportSpace,
        ids: IdSpace | None = None,
        document: Document | None = None,
        facts: Mapping[str, str] = _NO_FACTS,
        *,
        workers: Workers | None = None,
        app: AppServerContext | None = None,
    ) -> None:
        self._imports = imports
        self._app = app
        self._facts = facts
        """Whose code it is, as log lines say it (``extra``)."""
        self._ids = ids
        self._document = document
        self._documents = _references_to(document)
        self._workers = workers
        self._job: Job | None = None
        """What is at work on the Document on a thread right now."""
        self._quick = True
        """The last call on a thread was."""
        self._idle = asyncio.Event()
        self._unlocked_turn = asyncio.Lock()
        self._unlocked: set[Job] = set()

    @property
    def document(self) -> Document:
        assert self._document is not None
        return self._document

    @property
    def id_count(self) -> int:
        """How many model ids the session's code has used, but for what follows from inputs."""
        return 0 if self._ids is None else self._ids.count

    def new_input(self) -> Input:
        """What a client does now: code that follows from it makes models with ids of its own."""
        return Input(None if self._ids is None else self._ids.of_input())

    def on_wired(self, told: OnWired | None) -> None:
        """``told`` hears of each Python callback that the session's code adds to a model, on any thread."""
        if self._ids is not None:
            self._ids.on_wired = told

    @property
    def is_own_code(self) -> bool:
        """Whether what runs now is the session's own code, on whichever thread."""
        ids = current_ids.get()
        return ids is not None and ids.space is self._ids

    @property
    def has_threads(self) -> bool:
        """Whether threads that the session's code has begun are not over."""
        return self._ids is not None and self._ids.threads > 0

    @property
    def folder(self) -> str | None:
        """Of the app's own modules."""
        return None if self._imports.directory is None else self._imports.directory.path

    @property
    def threaded(self) -> bool:
        """Whether plain functions run on threads."""
        return self._workers is not None

    @property
    def at_work(self) -> bool:
        """Whether a thread is at work on the Document: nobody else may touch that now."""
        return self._job is not None

    @property
    def doing(self) -> str:
        """What a thread is at work on, and where it stands, in words; "" when none is."""
        jobs = [each for each in (self._job, *self._unlocked) if each is not None and each.begun]
        return ", ".join(each.what for each in jobs)

    def give_up(self) -> None:
        """Wait no longer for what runs on threads now."""
        assert self._workers is not None
        for job in (self._job, *self._unlocked):
            if job is not None:
                self._workers.pool.give_up(job)

    def call(self, func: Callable[..., T], *args: Any) -> T:
        """Run ``func(*args)`` here and now, to its end, or to the coroutine it returns."""
        with self._context(self._document), Step(func, self._facts):
            try:
                return func(*args)
            except STRAY as error:
                raise as_exception(error) from None

    def begin(self, func: Callable[..., Any], *args: Any) -> Awaitable[None] | None:
        """Run ``func(*args)``, which gives nothing, on a thread, and wait a moment for it.

        What has to be awaited at once where it is not over by then. Raises what ``func`` raises, and
        AppCodeAbandoned.
        """
        assert self._workers is not None
        with self._context(self._document):
            job = self._workers.submit(self._work, func, args, wait=self._quick)
            if not (self._quick and job.runs_at_once()):
                return self._ended(job)
        job.result()
        return None

    # -- beside other sessions' calls, on one thread (service.apps.batched_calls) ---------------------

    @property
    def quick(self) -> bool:
        """Whether the last call on a thread took no longer than the event loop may wait for it."""
        return self._quick

    def share_thread(self, work: Callable[[], None]) -> Job:
        """Run ``work``, which makes calls of this app's sessions. Next is ``runs_at_once`` of what it gives.

        Raises AppCodeAbandoned when the server stops.
        """
        assert self._workers is not None
        return self._workers.submit(work, wait=True)

    def begins_on_thread(self, job: Job) -> None:
        """``job`` makes a call of this session, and the event loop does not wait for it."""
        self._job = job
        self._idle.clear()

    def call_on_thread(self, func: Callable[[], Any]) -> Any:
        """On that thread."""
        with self._context(self._document):
            return self._work(func, ())

    def ended_on_thread(self, seconds: float) -> None:
        self._job = None
        self._idle.set()
        self._quick = seconds < WAIT_SECONDS

    # --------------------------------------------------------------------------------------------

    async def run(
        self, func: Callable[..., Any], *args: Any, locked: bool = True, build: bool = False
    ) -> Any:
        """Run ``func(*args)`` and, if that gives an awaitable, await it under the same conditions.

        With ``locked=False`` ``curdoc()`` is Bokeh's guard that refuses unsafe changes. ``build`` says that
        nobody has a page of it yet. Raises what ``func`` raises, and AppCodeAbandoned.
        """
        try:
            return await self._run(func, args, locked=locked, build=build)
        except BaseException as error:
            if not is_stray(error):
                raise
            raise as_exception(error) from None

    async def _run(
        self, func: Callable[..., Any], args: tuple[Any, ...], *, locked: bool, build: bool
    ) -> Any:
        document: Any = self._document
        if not locked and document is not None:
            document = UnlockedDocumentProxy(document)
        with self._context(document):
            if self._workers is None or is_coroutine_function(func):
                with Step(func, self._facts):
                    result = func(*args)
            elif locked:
                result = await self._on_thread(self._workers, func, args, build)
            else:
                result = await self._unlocked_on_thread(self._workers, func, args)
            if type(result) is CoroutineType:
                result = stepwise(result, self._facts)
            elif not inspect.isawaitable(result):
                return result
            if locked or self._workers is None:
                return await result
            return await _BetweenWork(result, self._until_idle)

    async def _on_thread(
        self, workers: Workers, func: Callable[..., Any], args: tuple[Any, ...], build: bool
    ) -> Any:
        wait = self._quick and not build
        job = workers.submit(self._work, func, args, build=build, wait=wait)
        return job.result() if wait and job.runs_at_once() else await self._ended(job)

    async def _ended(self, job: Job) -> Any:
        before, self._job = self._job, job
        self._idle.clear()
        try:
            return await job
        finally:
            self._quick = job.quick
            self._job = before
            if before is None:
                self._idle.set()

    async def _unlocked_on_thread(
        self, workers: Workers, func: Callable[..., Any], args: tuple[Any, ...]
    ) -> Any:
        """Beside what has the lock, as it wants to be; one at a time."""
        async with self._unlocked_turn:
            job = workers.submit(self._work_beside, func, args)
            self._unlocked.add(job)
            try:
                return await job
            finally:
                self._unlocked.discard(job)

    def _work(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        note_thread(self._document, threading.get_ident())
        drafting = begin_draft(self._document)
        try:
            return self._work_beside(func, args)
        finally:
            end_draft(drafting)
            note_thread(self._document)

    def _work_beside(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        working_folder.follow()
        with Step(func, self._facts):
            return func(*args)

    def _until_idle(self) -> Generator[Any, None, None]:
        while self._job is not None:
            yield from self._idle.wait().__await__()

    def _context(self, document: Any) -> _Context:
        documents = self._documents if document is self._document else _references_to(document)
        return _Context(self._ids_now, documents, self._imports.directory, self._app)

    @property
    def _ids_now(self) -> Ids | None:
        source = current_input.get()
        # Another session's callback may run this one's code.
        if source is not None and source.ids is not None and source.ids.space is self._ids:
            return source.ids
        return self._ids


def _references_to(document: Any) -> tuple[weakref.ReferenceType[Any], ...]:
    return () if document is None else (weakref.ref(document),)


def is_coroutine_function(func: Any) -> bool:
    """Whether a call runs no code of the app but makes a coroutine, also behind wrappers of Bokeh's and ours.

    What another wrapper does with a coroutine function is not known: ``asyncio.run`` needs a thread.
    """
    while True:
        if type(func) is MethodType:
            func = func.__func__
        if type(func) is FunctionType and not func.__dict__:  # nearly all, and the rest takes longer
            return bool(func.__code__.co_flags & inspect.CO_COROUTINE)
        if inspect.iscoroutinefunction(func):
            return True
        if isinstance(func, partial):
            func = func.func
        elif _is_wrapper_without_code(func):
            func = func.__wrapped__
        elif inspect.isroutine(func) or inspect.isclass(func):
            return False
        else:
            return inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004


def _is_wrapper_without_code(func: Any) -> bool:
    """Such as ``_wrap_with_curdoc`` makes around each session callback (bokeh 3.9 and 3.10)."""
    module = str(getattr(func, "__globals__", {}).get("__name__", ""))
    return hasattr(func, "__wrapped__") and module.startswith(("bokeh.", "service."))


class _BetweenWork:
    """Awaits something step by step, and makes no step while ``until_idle`` has to be waited for.

    So code without the lock, which Panel lets change models, never runs beside a thread that has it.
    """

    def __init__(
        self, awaitable: Awaitable[Any], until_idle: Callable[[], Generator[Any, None, None]]
    ) -> None:
        self._awaitable = awaitable
        self._until_idle = until_idle

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._awaitable.__await__()
        step, argument = steps.send, None
        while True:
            try:
                yield from self._until_idle()
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 - a cancellation, which is the awaited one's matter
                step, argument = steps.throw, error
            try:
                waits_for = step(argument)
            except StopIteration as end:
                return end.value
            try:
                step, argument = steps.send, (yield waits_for)
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 - as above
                step, argument = steps.throw, error


class _Context:
    """A context manager: around each call into app code, so by hand instead of from a generator."""

    __slots__ = ("_app", "_directory", "_documents", "_ids", "_tokens")

    def __init__(
        self,
        ids: Ids | None,
        documents: tuple[weakref.ReferenceType[Any], ...],
        directory: AppDirectory | None,
        app: AppServerContext | None,
    ) -> None:
        self._ids, self._documents, self._directory, self._app = ids, documents, directory, app

    def __enter__(self) -> None:
        working_folder.follow()
        self._tokens = (
            current_ids.set(self._ids),
            current_documents.set(self._documents),
            running_app.set(self._directory),
            current_app.set(self._app),
        )

    def __exit__(self, *exception: object) -> None:
        ids, documents, directory, app = self._tokens
        current_app.reset(app)
        running_app.reset(directory)
        current_documents.reset(documents)
        current_ids.reset(ids)
