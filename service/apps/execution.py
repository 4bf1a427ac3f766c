"""The one seam through which all app code runs.

It sets what must be in place while app code runs (model ids, ``curdoc``, whose imports these are) and
takes it away again, also when the code fails. All of it is in context variables, which belong to a task or
thread: other sessions run meanwhile. Today the code runs on the event loop; this seam is what would let it
move elsewhere. Code that runs for long is named, see :mod:`service.apps.slow`.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any, TypeVar

from bokeh.document import Document
from bokeh.document.locking import UnlockedDocumentProxy

from service.apps import working_folder
from service.apps.app_directories import AppDirectory, running_app
from service.apps.imports import ImportSpace
from service.apps.steps import Step, stepwise
from service.documents.curdoc import current_documents
from service.documents.ids import IdSpace, OnWired, current_ids

__all__ = ("Execution",)


T = TypeVar("T")

_NO_FACTS: Mapping[str, str] = {}


class Execution:
    """How code of one session (or of one app, for server hooks) is run."""

    def __init__(
        self,
        imports: ImportSpace,
        ids: IdSpace | None = None,
        document: Document | None = None,
        facts: Mapping[str, str] = _NO_FACTS,
    ) -> None:
        self._imports = imports
        self._facts = facts
        """Whose code it is, as log lines say it (``extra``)."""
        self._ids = ids
        self._document = document

    @property
    def document(self) -> Document:
        assert self._document is not None
        return self._document

    @property
    def id_count(self) -> int:
        """How many model ids the session's code has used."""
        return 0 if self._ids is None else self._ids.count

    def on_wired(self, told: OnWired | None) -> None:
        """``told`` hears of each Python callback that the session's code adds to a model, on any thread."""
        if self._ids is not None:
            self._ids.on_wired = told

    def call(self, func: Callable[..., T], *args: Any) -> T:
        """Run ``func(*args)`` to its end, or to the coroutine it returns."""
        with self._context(self._document), Step(func, self._facts):
            return func(*args)

    async def run(self, func: Callable[..., Any], *args: Any, locked: bool = True) -> Any:
        """Run ``func(*args)`` and, if that gives an awaitable, await it under the same conditions.

        With ``locked=False`` ``curdoc()`` is Bokeh's guard that refuses unsafe changes.
        """
        document: Any = self._document
        if not locked and document is not None:
            document = UnlockedDocumentProxy(document)
        with self._context(document):
            with Step(func, self._facts):
                result = func(*args)
            if type(result) is CoroutineType:
                return await stepwise(result, self._facts)
            return await result if inspect.isawaitable(result) else result

    def _context(self, document: Any) -> _Context:
        documents = () if document is None else (weakref.ref(document),)
        return _Context(self._ids, documents, self._imports.directory)


class _Context:
    """A context manager: around each call into app code, so by hand instead of from a generator."""

    __slots__ = ("_directory", "_documents", "_ids", "_tokens")

    def __init__(
        self,
        ids: IdSpace | None,
        documents: tuple[weakref.ReferenceType[Any], ...],
        directory: AppDirectory | None,
    ) -> None:
        self._ids, self._documents, self._directory = ids, documents, directory

    def __enter__(self) -> None:
        working_folder.follow()
        self._tokens = (
            current_ids.set(self._ids),
            current_documents.set(self._documents),
            running_app.set(self._directory),
        )

    def __exit__(self, *exception: object) -> None:
        ids, documents, directory = self._tokens
        running_app.reset(directory)
        current_documents.reset(documents)
        current_ids.reset(ids)
