"""One served app: its URL path, Bokeh's ``Application``, how to build a Document, its hooks."""

from __future__ import annotations

import ast
import inspect
import io
import logging
import tokenize
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from bokeh.application import Application
from bokeh.application.handlers import DirectoryHandler
from bokeh.application.handlers.lifecycle import _do_nothing
from bokeh.core.templates import FILE
from bokeh.document import Document
from bokeh.settings import settings as bokeh_settings
from tornado.httputil import HTTPServerRequest

from service.apps.attempts import Attempt
from service.apps.contexts import AppServerContext, AppSessionContext
from service.apps.execution import Execution
from service.apps.frames import exc_info_of_app
from service.apps.imported_packages import imports_any
from service.apps.imports import ImportSpace
from service.apps.jupyter_widgets import close_widgets
from service.apps.panel import (
    as_panels,
    connect_panel,
    give_location,
    hook_handlers,
    is_drawn_by_panel,
    keep_coming_back,
    let_go_of_roots,
    request_hooks,
    use_own_files,
    uses_panel,
)
from service.apps.panel_access import authorize_callback, check_access
from service.apps.process_state import run_apart
from service.apps.raised import STRAY, Exited
from service.apps.threads import within
from service.apps.worker_pool import Workers
from service.documents.bundles import bundles_for, extensions_of
from service.errors import AppCodeAbandoned, AppError
from service.lines import line

__all__ = ("App", "known_sources")

log = logging.getLogger(__name__)

T = TypeVar("T")

UNKNOWN_SOURCE = "template"
"""In the place of code that was typed in a console or built at run time: it may do anything."""


class App:
    """An app under its URL path, such as ``/sliders``, or at all paths that fit ``pattern``.

    Then ``path`` is how its author wrote the pattern, and its name in metrics, in the store and elsewhere.
    """

    def __init__(
        self,
        path: str,
        application: Application,
        imports: ImportSpace,
        *,
        pattern: str | None = None,
        for_operators: bool = False,
        file: Path | None = None,
    ) -> None:
        self.path = path
        self.pattern = pattern
        self.application = application
        self.imports = imports
        self._facts = {"app": path}
        self._logout_url: str | None = None
        self._live_sessions: Callable[[], Iterable[Any]] = tuple
        self._share: Workers | None = None
        self.server_context = AppServerContext(self.live_sessions, path, application)
        self.file = file
        """The script, notebook or directory that it was loaded from, if it was."""
        self.page_needs_document = _has_own_page(application)
        self.for_operators = for_operators
        """Not for visitors: shown to operators only, and no load to scale by."""
        self.built = False
        self.needed_bundles: frozenset[str] = frozenset()
        """Of BokehJS's bundles those that Documents built here need."""
        self._extensions: dict[str, bool] = {}
        """Of each extension of Bokeh whether it is used, as far as it was asked about."""
        self.generation = 0
        """Grows when what is being built is out of date (``--dev``)."""
        self._broken: str | None = None
        """Why there is no code to run at present (``--dev``)."""
        self._replaced = 0
        self._changed_from_outside = False

    def replace(self, application: Application) -> None:
        """Go on with other code."""
        self.outdate()
        self.application = application
        self.page_needs_document = _has_own_page(application)
        self.built = False
        self.needed_bundles = frozenset()
        self._extensions.clear()
        self._broken = None
        self._replaced += 1
        self.__dict__.pop("version", None)
        self._changed_from_outside = False
        for name in ("_wants_loop", "may_sleep", "pauses_unwatched"):
            self.__dict__.pop(name, None)

    def breaks(self, why: str) -> None:
        """There is no code to run, until :meth:`replace` brings some."""
        self.outdate()
        self._broken = why

    def outdate(self) -> None:
        """What is being built is not to be shown any more: it has to be built anew."""
        self.generation += 1

    def serves(self, live_sessions: Callable[[], Iterable[Any]]) -> None:
        """From here on these are its sessions."""
        self._live_sessions = live_sessions

    def live_sessions(self) -> Iterable[Any]:
        """Its sessions on this replica."""
        return self._live_sessions()

    @property
    def logout_url(self) -> str | None:
        return self._logout_url

    def logs_out_at(self, url: str | None) -> None:
        """What sessions are told of it."""
        self._logout_url = url

    def run_on(self, share: Workers) -> None:
        """Run the app's code on these threads, unless it wants to be run on the event loop."""
        self._share = share

    @property
    def workers(self) -> Workers | None:
        """The threads that the app's code runs on; None for the event loop."""
        return None if self.for_operators or self._wants_loop else self._share

    @cached_property
    def _wants_loop(self) -> bool:
        return self._says("run_on_loop") is True

    @cached_property
    def may_sleep(self) -> bool | None:
        """What its author says of sessions that are idle (``sleep_when_idle``); None: nothing.

        Who lets timers pause says that they may sleep.
        """
        said = self._says("sleep_when_idle")
        return True if said is None and self.pauses_unwatched else said

    @cached_property
    def pauses_unwatched(self) -> bool:
        """Whether its periodic callbacks have to run only while somebody looks (``pause_when_hidden``)."""
        return self._says("pause_when_hidden") is True

    def _says(self, name: str) -> bool | None:
        said = (declared_by(handler, name) for handler in self.application.handlers)
        return next((each for each in said if each is not None), None)

    @property
    def changed_from_outside(self) -> bool:
        """Whether sessions of this app were changed by others than their clients and their own clocks."""
        return self._changed_from_outside

    def note_changed_from_outside(self) -> None:
        self._changed_from_outside = True

    @property
    def restores_itself(self) -> bool:
        """Whether it has ``on_session_restored`` hooks."""
        return any(_restored_hook(handler) is not None for handler in self.application.handlers)

    def has_end_hooks(self, document: Document) -> bool:
        """Whether code of the app runs when a session ends."""
        hooks = [line.session_hook(each, "on_session_destroyed") for each in hook_handlers(self.application)]
        return not all(map(_is_of_library, [*hooks, *document.session_destroyed_callbacks]))

    @property
    def panel(self) -> bool:
        """Whether Panel makes this app's pages: known from its code, or once that has drawn with Panel."""
        return uses_panel(self.application)

    def uses_extension(self, package: str) -> bool:
        """Whether pages of this app need an extension of Bokeh's that was imported into this process."""
        if package not in self._extensions:
            self._extensions[package] = self.panel or self._imports(package)
        return self._extensions[package]

    def _imports(self, package: str) -> bool:
        directory = self.imports.directory
        sources = known_sources(self.application.handlers)
        return sources is None or imports_any(
            sources, None if directory is None else Path(directory.path), frozenset({package})
        )

    @property
    def page_is_shell(self) -> bool:
        """Whether a page of this app can be served without running the app.

        Known once a Document was built here, and only for apps whose code cannot choose another
        page: not one of their files speaks of templates.
        """
        return self.built and not self.page_needs_document

    @cached_property
    def version(self) -> str:
        """A digest of the app's code, as far as it has files of its own; another after each :meth:`replace`.

        Then it is perhaps a module of the app's that has changed.
        """
        digest = blake2b(f"{self._replaced or ''}".encode(), digest_size=8)
        for handler in self.application.handlers:
            for source in sources_of(handler):
                digest.update(source.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def static_path(self) -> str | None:
        return self.application.static_path

    def metadata(self) -> Any:
        data = self.application.metadata
        return (data() if callable(data) else data) or {}

    async def process_request(self, request: HTTPServerRequest, attempt: Attempt) -> Mapping[str, Any]:
        """What the app's ``process_request`` hooks, plain or coroutine functions, add to the request.

        Raises what they raise, and what ``attempt`` is given up with.
        """
        execution = self._execution()
        attempt.runs_with(execution)
        data: dict[str, Any] = {}
        with attempt.under_way():
            for hook in request_hooks(self.application):
                data.update(await execution.run(hook, request))
        return data

    async def build(self, context: AppSessionContext, execution: Execution) -> None:
        """Run ``on_session_created`` and then the app's code on the Document of ``execution``.

        Raises :class:`AppError` when the code fails; a failing hook is only logged, as in Bokeh.
        """
        generation = self.generation
        await self._run_session_hook("on_session_created", context, execution, build=True)
        try:
            await execution.run(self._initialize, execution.document, build=True)
        except AppError:
            if self.generation == generation:
                self._recognise_panel(execution.document)
            raise
        if self.generation == generation:  # else what is learned is of code that is gone
            self._recognise_panel(execution.document)
            self._learn_page(execution.document)

    async def restored(self, context: AppSessionContext, execution: Execution) -> None:
        """Run the app's ``on_session_restored(session_context)`` hooks, after a session moved here."""
        for handler in self.application.handlers:
            hook = _restored_hook(handler)
            if hook is not None:
                await self._run_hook("on_session_restored", execution, hook, context)

    async def end(self, context: AppSessionContext, execution: Execution) -> None:
        """Run the ``on_session_destroyed`` hooks of the Document and of the app."""
        document = execution.document
        let_go_of_roots(document)
        hooks, document.callbacks.session_destroyed_callbacks = document.session_destroyed_callbacks, set()
        for hook in hooks:
            await self._run_hook("on_session_destroyed", execution, hook, context)
        await self._run_session_hook("on_session_destroyed", context, execution)
        close_widgets(document)

    async def load(self) -> None:
        """Run ``on_server_loaded``; what it raises is logged and the server goes on, as in Bokeh.

        Raises Exited when it calls ``sys.exit``.
        """
        self.server_context.on_this_loop()
        await self._run_server_hook("on_server_loaded")

    async def unload(self) -> None:
        """Run ``on_server_unloaded``."""
        await self._run_server_hook("on_server_unloaded")

    def _initialize(self, document: Document) -> None:
        if self._broken is not None:
            raise AppError(self._broken, self._broken)
        connect_panel()
        asked = authorize_callback()
        check_access(asked, document)
        if self.panel:
            give_location(document)
        try:
            with run_apart():
                self._modify(document)
        except AppError:
            raise
        except (Exception, *STRAY) as error:
            raise AppError(str(error) or repr(error), traceback.format_exc()) from error
        connect_panel()
        if (of_app := authorize_callback()) is not asked:
            check_access(of_app, document)
        keep_coming_back(document, of_panel=self.panel)
        if self.panel:
            use_own_files(document)
        if not self.built and bokeh_settings.perform_document_validation():
            # What is wrong with the models is wrong in each session; Bokeh looks, and says so, each time.
            document.validate()

    def _modify(self, document: Document) -> None:
        if type(self.application) is not Application:
            self.application.initialize_document(document)
            _check(self.application)
        else:
            _modify(self.application, document)

    def _recognise_panel(self, document: Document) -> None:
        """Whatever way the code has to Panel."""
        if type(self.application) is Application and is_drawn_by_panel(document):
            self.application = as_panels(self.application)
            self.page_needs_document = True

    def _learn_page(self, document: Document) -> None:
        own_page = document.template is not FILE or bool(document.template_variables)
        if own_page or any(map(mentions_template, self.imports.sources())):
            self.page_needs_document = True
        self.needed_bundles |= bundles_for(document.models)
        self._extensions.update(dict.fromkeys(extensions_of(document.models), True))
        self.built = True

    async def _run_session_hook(
        self, name: str, context: AppSessionContext, execution: Execution, *, build: bool = False
    ) -> None:
        for handler in hook_handlers(self.application):
            hook = line.session_hook(handler, name)
            if hook is not _do_nothing:
                await self._run_hook(name, execution, hook, context, build=build)

    async def run(self, func: Callable[..., Any], *args: Any) -> Any:
        """Run code of the app that belongs to no session. Raises what that raises."""
        return await self._execution().run(func, *args)

    def own_call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> Callable[[], T]:
        """Calls ``func`` as code of the app that belongs to no session, on a thread of its own."""
        handed_on = (None, self.imports.directory, None, self.server_context)
        return partial(within, handed_on, func, *args, **kwargs)

    def _execution(self) -> Execution:
        """For code that belongs to no session."""
        return Execution(self.imports, facts=self._facts, workers=self.workers, app=self.server_context)

    async def _run_server_hook(self, name: str) -> None:
        for handler in hook_handlers(self.application):
            hook = _server_hook(handler, name)
            execution = self._execution()
            await self._run_hook(name, execution, hook, self.server_context)

    async def _run_hook(
        self, name: str, execution: Execution, hook: Callable[..., Any], context: Any, *, build: bool = False
    ) -> None:
        try:
            result = await execution.run(hook, context, build=build)
            # Handlers wrap async hooks in a coroutine that returns the hook's own, un-awaited.
            if inspect.isawaitable(result):
                await execution.run(_awaiting, result)
        except AppCodeAbandoned:
            raise
        except Exception as error:
            if isinstance(error, Exited) and name == "on_server_loaded":
                raise  # as what it needs is not there
            log.exception("%s: hook %s failed", self.path, name, exc_info=exc_info_of_app(error))


async def _awaiting(result: Awaitable[Any]) -> Any:
    return await result


def _modify(application: Application, document: Document) -> None:
    for handler in application.handlers:
        handler.modify_document(document)
        _check(application)


def _server_hook(handler: Any, name: str) -> Callable[..., Any]:
    """The app's own function. ``DirectoryHandler`` (bokeh 3.9 and 3.10) first runs the ``__init__.py``."""
    hook: Callable[..., Any] = getattr(handler, name)
    if getattr(hook, "__func__", None) is not DirectoryHandler.on_server_loaded:
        return hook

    def run_package_first(context: Any) -> Any:
        if handler._package_runner is not None:
            with run_apart(loads=True):
                handler._package_runner.run(handler._package)
        return handler._lifecycle_handler.on_server_loaded(context)

    return run_package_first


def _check(application: Application) -> None:
    """Raise AppError if one of the handlers could not do its work."""
    for handler in application.handlers:
        if handler.failed:
            raise AppError(handler.error or "the app failed", handler.error_detail or "")


def _has_own_page(application: Application) -> bool:
    """Whether an app's template or files say that its page may depend on the Document."""
    return uses_panel(application) or any(_mentions_template(handler) for handler in application.handlers)


def _restored_hook(handler: Any) -> Callable[..., Any] | None:
    """``on_session_restored`` of an app's hooks module (bokeh 3.9 attribute names)."""
    lifecycle = getattr(handler, "_lifecycle_handler", handler)
    hook = getattr(getattr(lifecycle, "_module", None), "on_session_restored", None)
    return hook if callable(hook) else None


def _mentions_template(handler: Any) -> bool:
    if getattr(handler, "_template", None) is not None:  # bokeh 3.9: DirectoryHandler
        return True
    return any(mentions_template(source) for source in sources_of(handler))


def mentions_template(source: str) -> bool:
    """Whether a name in the code (no comment, no text) speaks of templates."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return True
    return any(token.type == tokenize.NAME and "template" in token.string for token in tokens)


def declared_by(handler: Any, name: str) -> bool | None:
    """What the app says with ``name = True`` or ``False``: in its script or hooks, or on its function."""
    lifecycle = getattr(handler, "_lifecycle_handler", handler)
    for place in (getattr(handler, "_func", None), getattr(lifecycle, "_module", None)):
        said = getattr(place, name, None)
        if isinstance(said, bool):
            return said
    runner = getattr(getattr(handler, "_main_handler", handler), "_runner", None)
    return None if runner is None else _declared_in(runner.source, name)


def _declared_in(source: str, name: str) -> bool | None:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return None
    said = [
        each.value.value
        for each in body
        if isinstance(each, ast.Assign | ast.AnnAssign)
        and any(isinstance(target, ast.Name) and target.id == name for target in _targets(each))
        and isinstance(each.value, ast.Constant)
        and isinstance(each.value.value, bool)
    ]
    return said[-1] if said else None


def _is_of_library(callback: Any) -> bool:
    return str(getattr(callback, "__module__", "")).startswith(("bokeh.", "panel.", "service."))


def _targets(statement: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else [statement.target]


def sources_of(handler: Any) -> Iterable[str]:
    """The source code of a handler as far as it has any (attribute names of bokeh 3.9)."""
    main = getattr(handler, "_main_handler", handler)
    runner = getattr(main, "_runner", None)
    if runner is not None:
        yield runner.source
    function = getattr(handler, "_func", None)
    if isinstance(function, partial):  # Panel's, around the author's
        function = next((each for each in function.args if inspect.isroutine(each)), function.func)
    if function is not None:
        yield _function_source(function)


def known_sources(handlers: Iterable[Any]) -> list[str] | None:
    """The source code of all handlers; None if that of one is not known."""
    sources = [source for handler in handlers for source in sources_of(handler)]
    return None if UNKNOWN_SOURCE in sources else sources


def _function_source(function: Any) -> str:
    module = inspect.getmodule(function)
    try:
        return inspect.getsource(module if module is not None else function)
    except (OSError, TypeError):
        return UNKNOWN_SOURCE
