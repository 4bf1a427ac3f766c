"""What Panel (1.9) and HoloViews expect of a server beyond Bokeh's documented interfaces.

Panel brings an ``Application`` of its own, which prepares and ends what it keeps per Document, and
when it must write while a Document is held it reaches for the session's sockets. Nothing here
imports Panel unless an app does.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from copy import copy
from pathlib import Path
from typing import Any, Protocol, cast

from bokeh.application import Application
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.application.handlers.handler import Handler
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.models.ui.notifications import Notifications

from service.apps.imported_packages import imports_any
from service.apps.when_imported import imported, when_imported
from service.apps.worker_pool import PoolExecutor, WorkerPool
from service.lines import line

__all__ = (
    "PanelConnection",
    "application_of_files",
    "application_of_function",
    "applications_of_panel",
    "as_panels",
    "connect_panel",
    "dispatch",
    "give_location",
    "hook_handlers",
    "is_drawn_by_panel",
    "keep_coming_back",
    "let_go_of_roots",
    "markdown_handler",
    "note_thread",
    "own_file",
    "panel_bundle",
    "panel_page",
    "panels_application",
    "request_hooks",
    "runs_on_this_thread",
    "share_cookie_secret",
    "share_threads",
    "start_timers_on_loop",
    "use_own_files",
    "uses_panel",
)

log = logging.getLogger(__name__)

_PACKAGES = frozenset({"panel", "holoviews", "hvplot", "lumen"})
_APPLICATION = "panel.io.application"
_DOCUMENT = "panel.io.document"
_STATE = "panel.io.state"
_CALLBACKS = "panel.io.callbacks"

PANEL = "panel"
"""Whose share of the threads it is that Panel's own work has; no app has such a path."""


class Writer(Protocol):
    """What a session does for Panel."""

    def send_at_once(self, events: Sequence[DocumentPatchedEvent]) -> None: ...


class PanelConnection:
    """Stands for all connections of a session where Panel wants to write to sockets itself."""

    def __init__(self, session: Writer) -> None:
        self._session = session
        self._socket = _Socket()
        self.protocol = self

    def create(self, msgtype: str, events: Sequence[DocumentPatchedEvent]) -> None:
        """Where a message would be made to be sent later: it is sent now, in the right order."""
        self._session.send_at_once(events)

    def write(self, events: Sequence[DocumentPatchedEvent]) -> None:
        self._session.send_at_once(events)


class _Socket:
    """A type of socket that Panel finds our handler for."""


def application_of_files(handler: Handler, sources: Iterable[str], directory: Path) -> Application:
    """Panel's ``Application`` if ``sources``, or modules in ``directory`` that they import, use Panel.

    Bokeh's for all others, whatever other apps of this server use.
    """
    return panels_application(handler) if imports_any(sources, directory, _PACKAGES) else Application(handler)


def application_of_function(handler: Handler, sources: Iterable[str] | None) -> Application:
    """Panel's ``Application`` if the program has imported Panel, and the function's ``sources`` use it.

    None for sources that are not known.
    """
    uses = sources is None or imports_any(sources, None, _PACKAGES)
    return panels_application(handler) if uses and _APPLICATION in sys.modules else Application(handler)


def applications_of_panel(panels: Mapping[str, Any], title: Any, location: Any) -> dict[str, Application]:
    """By URL path, as ``pn.serve`` (1.9 and 1.10) makes them of what it takes. Imports Panel."""
    module = importlib.import_module(_APPLICATION)
    made: dict[str, Application] = module.build_applications(dict(panels), title=title, location=location)
    return made


def as_panels(application: Application) -> Application:
    """An ``Application`` of Panel's with the same handlers, for code that turns out to use Panel."""
    cls: type[Application] = importlib.import_module(_APPLICATION).Application
    return cls(*application.handlers, metadata=application.metadata)


def is_drawn_by_panel(document: Document) -> bool:
    """Whether code that has run on the Document has used Panel (1.9 and 1.10) for it."""
    module = imported(_STATE)
    if module is None:
        return False
    state = module.state
    served = (state._templates, state._locations, state._onload, state._notifications)
    return any(document in each for each in served) or any(root.id in state._views for root in document.roots)


def markdown_handler(filename: str, argv: list[str]) -> Handler:
    """For a document with code, as ``panel serve`` shows it. Imports Panel (1.9, 1.10). Raises ValueError."""
    try:
        made: Handler = importlib.import_module("panel.io.handlers").MarkdownHandler(
            filename=filename, argv=argv
        )
    except ImportError as error:
        raise ValueError(f"an .md document needs Panel: {error}") from error
    return made


def panels_application(handler: Handler) -> Application:
    """Panel's ``Application``, or Bokeh's where Panel cannot be imported."""
    try:
        application: type[Application] = importlib.import_module(_APPLICATION).Application
    except ImportError as error:
        log.debug("an app speaks of Panel, which cannot be imported: %s", error)
        return Application(handler)
    return application(handler)


def keep_coming_back(document: Document, *, of_panel: bool) -> None:
    """Let the page reconnect when its replica goes.

    Once it is imported, Panel (1.9) switches that off in all Documents that apps build, plain ones
    included, unless ``pn.config.reconnect`` is set: elsewhere a session dies with its server.
    A plain Document gets back what tells its user about it: as a new model, for its default would
    be made while the Document is sent first, and be part of it from the second time on only. It has
    an id of the session's, so nothing is made where Panel is not.
    """
    panel = imported("panel.config")
    if panel is None or document.config.reconnect_session or panel.config.reconnect:
        return
    document.config.reconnect_session = True
    if not of_panel:
        document.config.notify_connection_status = True
        document.config.notifications = Notifications()


def give_location(document: Document) -> None:
    """Let ``pn.state.location`` be the page's address from the first line of the app on.

    Panel (1.9 and 1.10) takes it from the request when it is first asked, but only from a request of Bokeh's
    own server; from any other it is empty until the browser has told.
    """
    module = importlib.import_module("panel.io.location")
    request = cast(Any, document.session_context).request
    location = module.Location()
    with module.edit_readonly(location):
        location.param.update(module._get_location_params(request.protocol, request.host, request.uri))
    sys.modules[_STATE].state._locations[document] = location


def let_go_of_roots(document: Document) -> None:
    """Before the hooks of a session's end: what Panel drew belongs to no Document any more.

    ``bokeh.server`` (3.9) takes the Document apart before those hooks run. Some of Panel's (1.9:
    ``Location``, ``BrowserInfo``) rely on it: with a Document they forget it twice, fail the second time
    with ``KeyError``, and keep what they have not come to.
    """
    state = imported(_STATE)
    if state is None:
        return
    for root in document.roots:
        if root.id in state.state._views:
            root._document = None


def hook_handlers(application: Application) -> list[Any]:
    """Who has hooks: the handlers, and before them what an ``Application`` of Panel's adds.

    Bokeh's own handler for the Document's hooks is not among them: it runs a full garbage
    collection each time.
    """
    handlers = [each for each in application.handlers if not isinstance(each, DocumentLifecycleHandler)]
    return [*_what_is_added(application), *handlers]


def _what_is_added(application: Application) -> list[Application]:
    """What a subclass of Bokeh's ``Application`` does besides asking its handlers.

    One without handlers does that alone, so that a failing hook stops no other.
    """
    if type(application) is Application:
        return []
    bare = copy(application)
    bare._handlers = []
    return [bare]


def request_hooks(application: Application) -> list[Callable[..., Any]]:
    """The functions that add to a request, in order; each may give an awaitable.

    Not Bokeh's own loop over them, which fails at coroutines (3.9), or runs them on threads, outside of
    the app's import space (3.10).
    """
    # Without those that add nothing: each would be a trip to a thread per page.
    hooks: list[Callable[..., Any]] = [
        handler.process_request
        for handler in application.handlers
        if type(handler).process_request is not Handler.process_request
    ]
    return [*hooks, *map(line.request_hook, _what_is_added(application))]


def connect_panel() -> None:
    """Make Panel, once it was imported, know our connections and threads. Cheap and idempotent."""
    module = imported(_DOCUMENT)
    if module is not None:
        module.extra_socket_handlers.setdefault(_Socket, _write)
        _share_cookie_secret()
        _share_threads()


_threads: list[tuple[WorkerPool | None, int | None]] = []
"""The pool if there is one, and how many threads Panel was told to work on (``--num-threads``)."""


def share_threads(pool: WorkerPool | None, num_threads: int | None) -> None:
    """Let Panel's events be worked on by ``pool`` where Panel is told to use threads."""
    _threads[:] = [(pool, num_threads)]


def _share_threads() -> None:
    """Panel (1.9 and 1.10) makes a pool of its own as soon as ``config.nthreads`` has a value.

    One that it made in the middle of an app's run may have work already, which it still does.
    """
    state, config = getattr(sys.modules.get(_STATE), "state", None), sys.modules["panel.config"].config
    if not _threads or state is None:
        return
    pool, num_threads = _threads[0]
    if num_threads is not None and config.nthreads is None:
        config.nthreads = num_threads
    theirs = state._thread_pool
    if pool is not None and isinstance(theirs, ThreadPoolExecutor):
        pool.grow(config.nthreads or 0)
        state._thread_pool = PoolExecutor(pool, PANEL)
        ThreadPoolExecutor.shutdown(theirs, wait=False)  # Panel's own (1.10) does nothing


def start_timers_on_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Let timers of Panel's that belong to no session begin on ``loop``, whichever thread starts them."""
    _loop[:] = [loop]
    when_imported(_CALLBACKS, _start_timers_on_loop)


_loop: list[asyncio.AbstractEventLoop] = []


def _start_timers_on_loop(callbacks: Any) -> None:
    """On another thread ``start`` of Panel 1.10 puts itself off to the session's next tick, which is on a
    thread as well: for ever, ten times a second from the first input on, so that the session is never idle.
    That of Panel 1.9 does nothing there. (It is how Panel forgets events that never end.)
    """
    start = callbacks.PeriodicCallback.start

    def start_on_loop(self: Any) -> None:
        elsewhere = threading.get_ident() != _loop_thread[0] and _loop and _loop[0].is_running()
        if elsewhere and not self.session_scoped:
            _loop[0].call_soon_threadsafe(start, self, context=Context())
        else:
            start(self)

    callbacks.PeriodicCallback.start = start_on_loop


_cookie_secrets: list[str] = []


def share_cookie_secret(secret: str) -> None:
    """Let Panel read the cookies that login handlers signed: ``pn.state.user`` and what belongs to it."""
    _cookie_secrets[:] = [secret]
    if _DOCUMENT in sys.modules:
        _share_cookie_secret()


def _share_cookie_secret() -> None:
    """Panel (1.9 and 1.10) has one for the process, and prefers what its environment variables say."""
    config = sys.modules["panel.config"].config
    if _cookie_secrets and config._cookie_secret != _cookie_secrets[0]:
        config.cookie_secret = _cookie_secrets[0]


_loop_thread = [threading.main_thread().ident or 0]


def runs_on_this_thread() -> None:
    """The event loop does, which works on all Documents when no thread of the pool does."""
    _loop_thread[:] = [threading.get_ident()]


def note_thread(document: Document | None, thread: int | None = None) -> None:
    """``thread`` has the Document to itself from here on, or no thread of the pool any more.

    Panel (1.9) changes the models of a Document on one thread, which is the one that built it, and puts off
    what it is asked to do on others.
    """
    module = sys.modules.get(_STATE)
    if module is not None and document is not None:
        state = getattr(module, "state", None)  # which another thread may be importing right now
        if state is not None:
            state._thread_id_[document] = thread or _loop_thread[0]


def dispatch(document: Document, event: DocumentPatchedEvent) -> None:
    """Tell everybody who listens to the Document about ``event``, held or not (bokeh 3.9)."""
    for receive in list(document.callbacks._change_callbacks.values()):
        receive(event)


def _write(connection: PanelConnection, events: Any = None, *, msg: Any = None) -> list[Any]:
    """Panel's way to write: gives futures of what is not written yet, here none."""
    if events:
        connection.write(events)
    return []


def uses_panel(application: Application) -> bool:
    """Whether Panel makes the pages of this application."""
    return type(application).__module__ == _APPLICATION


def use_own_files(document: Document) -> None:
    """Make models load Panel's style sheets from this server, not from Panel's (panel 1.9).

    Must run in the Document's context.
    """
    server = importlib.import_module("panel.io.server")
    context: Any = document.session_context
    embedded = context.request.arguments.get("bokeh-absolute-url", [])
    if embedded:
        base = _root_of(embedded[0].decode(), context)
    else:
        base = f"{server.state.rel_path}/" if server.state.rel_path else ""
    url = base + server.LOCAL_DIST
    document._template_variables["dist_url"] = url
    for root in document.roots:
        server.patch_model_css(root, dist_url=url)


def panel_page(session: Any, resources: Any, root: str, token: str) -> str:
    """The page of a session's Document as ``panel serve`` makes it, with URLs that begin with ``root``.

    Must run in the Document's context.
    """
    server = importlib.import_module("panel.io.server")
    document = session.document
    # Panel (1.9, 1.10) reckons it from the app's path, and is wrong where a slash follows that.
    if root.startswith("."):
        server.state.rel_path = root.removeprefix("./").rstrip("/")
    page: str = server.server_html_page_for_session(
        session,
        resources=resources,
        title=document.title,
        token=token,
        template=document.template,
        template_variables=document.template_variables,
    )
    if resources.mode != "server":
        return page
    return own_file(_without_fonts(page), document._template_variables["dist_url"])


def panel_bundle(session: Any, resources: Any, root: str) -> Any:
    """The files of a session's Document for a page elsewhere, as ``panel serve`` finds them.

    With URLs that begin with ``root``. Must run in the Document's context.
    """
    module, state = importlib.import_module("panel.io.resources"), sys.modules[_STATE].state
    state.rel_path = root.rstrip("/")
    made = module.Resources.from_bokeh(resources, absolute=not state.rel_path)
    bundle = module.bundle_resources(session.document.roots, made)
    if resources.mode == "server":
        bundle.css_files = [
            type(each)(own_file(each.url, f"{root}{module.LOCAL_DIST}"))
            for each in bundle.css_files
            if not _OF_FONTS.fullmatch(each.url)
        ]
    return bundle


def own_file(text: str, dist_url: str) -> str:
    """The text with Panel's files on this server, at ``dist_url``, in the place of those of its publisher."""
    panel = imported("panel.io.resources")
    return text if panel is None else text.replace(panel.CDN_DIST, dist_url)


_OF_FONTS = re.compile(
    r"(?:https:)?//fonts\.googleapis\.com/css\?family=(?:"
    r"Open\+Sans|Roboto:300,400,500|Lato&subset=latin,latin-ext|Material\+Icons&display=block)"
)
"""Of Panel's own designs and templates (1.9 and 1.10). Browsers have others to take in their place."""

_LINK_TO_FONT = re.compile(rf'<link [^>]*href="({_OF_FONTS.pattern})"[^>]*>')
_MENU = r"""<style>.material-icons.mdc-top-app-bar__navigation-icon { font-size: 0 }
.material-icons.mdc-top-app-bar__navigation-icon::after { content: "\2630"; font-size: 24px }</style>"""
"""The only icon that Panel itself takes from there."""


def _without_fonts(page: str) -> str:
    """Where their host cannot be reached, browsers would wait for them before they draw anything."""
    return _LINK_TO_FONT.sub(lambda found: _MENU if "Icons" in found[1] else "", page)


def _root_of(absolute_url: str, context: Any) -> str:
    """The server's part of the app's URL, with a slash at the end."""
    path = (context.request.app_path or context.server_context.application_context.url).rstrip("/")
    return absolute_url.rstrip("/").removesuffix(path) + "/"
