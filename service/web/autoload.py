"""``autoload.js``: what ``server_document`` and ``server_session`` put into pages elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from bokeh.core.templates import AUTOLOAD_JS
from bokeh.core.types import ID
from bokeh.embed.bundle import Bundle, Script
from bokeh.embed.elements import script_for_render_items
from bokeh.embed.util import RenderItem
from jinja2 import Template
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from service.apps.panel import panel_bundle
from service.errors import AppError, NotAuthorized
from service.page_versions import PageVersions
from service.sessions.session import Session
from service.web.opening import AppHandler, PageView
from service.web.resources import PageResources
from service.web.urls import quoted
from store.contract import Heartbeat

__all__ = ("Asked", "AutoloadHandler", "autoload_template", "located", "render_script", "script_of_session")

log = logging.getLogger(__name__)

_URLS = '{{ bundle.js_urls|map(attribute="url")|list|tojson }}'
_NOT_THERE_YET = """url => {
    const {href} = new URL(url, document.baseURI);
    return ![...document.scripts].some(each => each.src == href);
  }"""

_CHANGES = {
    # Where another script has loaded its files, a later one loads all of its own again,
    _URLS: f"{_URLS}.filter({_NOT_THERE_YET})",
    # and while another one loads, none: also not what it alone needs.
    "if (root._bokeh_is_loading > 0) {": "if (root._bokeh_is_loading > 0 && js_urls.length === 0) {",
    "root._bokeh_is_loading = css_urls": "root._bokeh_is_loading = (root._bokeh_is_loading || 0) + css_urls",
}
"""What is done to Bokeh's template (3.9 and 3.10), whose scripts know little of each other."""


@cache
def autoload_template() -> Template:
    """Bokeh's, for several apps in one page elsewhere."""
    environment = AUTOLOAD_JS.environment
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, AUTOLOAD_JS.name or "")
    for theirs, ours in _CHANGES.items():
        if theirs not in source:
            log.warning("autoload.js of this bokeh is another one: several apps in a page may load it twice")
        source = source.replace(theirs, ours)
    return environment.from_string(source)


class AutoloadHandler(AppHandler):
    """``GET /app/autoload.js``. Needs the Document of Panel's apps; of others, once, the model classes."""

    below_app = "/autoload.js"

    def set_default_headers(self) -> None:
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Allow-Headers", "*")
        self.add_header("Vary", "Origin")

    def _admit_origin(self) -> None:
        """Pages that may open a WebSocket get the script with their user's cookies, too, as in bokeh 3.10.

        Others get one that no cookie had a part in: browsers do not take the wildcard for credentials.
        """
        origin = self.request.headers.get("Origin")
        if origin is not None and self.services.origins.allows(origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")

    async def turn_away(self) -> None:
        """A script cannot be a login page."""
        raise HTTPError(403, "log in first: the embedding page has to send the user's cookies along")

    async def get(self, /, *args: str, **kwargs: str) -> None:
        with self.span("autoload.js"):
            await self._answer()

    @property
    def page_versions(self) -> PageVersions:
        return replace(super().page_versions, embedded=True)

    async def _answer(self) -> None:
        asked = Asked(
            self.get_argument("bokeh-autoload-element", ""),
            self.get_argument("bokeh-app-path", "/"),
            self.get_argument("bokeh-absolute-url", None),
            self.get_argument("resources", "default") != "none",
        )
        if not asked.element_id:
            raise HTTPError(400, "the bokeh-autoload-element argument is missing")
        root, asked = located(asked, self.app_path, self.services.settings.prefix)
        view = await self.view()
        await self.hand_off(view)
        script = await self._script_of_owner(view, root, asked) or await self._own_script(view, root, asked)
        self.set_header("Content-Type", "application/javascript; charset=utf-8")
        self.keep_for_its_browser()
        self.finish(script)

    async def _own_script(self, view: PageView, root: str, asked: Asked) -> str:
        found = None
        if self.app.panel or not self.app.built:
            found = await self._begin(view, root, asked)
        if isinstance(found, str):
            return found
        if found is None:
            return render_script(self.services.resources, root, asked, view.token)
        return await script_of_session(found, self.services.resources, root, asked, view.token)

    async def _script_of_owner(self, view: PageView, root: str, asked: Asked) -> str | None:
        """Where the session lives at a replica of other versions, that one's scripts are needed."""
        holder = await self.holder_of_other_versions(view)
        if holder is None:
            return None
        owner, epoch = holder
        try:
            return await self._ask_owner(view, root, asked, owner, epoch)
        except (HTTPClientError, OSError) as error:
            log.warning("the session's owner gives no script: %s", error, extra=view.key.facts)
            return None

    def _ask_owner(
        self, view: PageView, root: str, asked: Asked, owner: Heartbeat, epoch: int
    ) -> Awaitable[str]:
        body = json.dumps({"token": self.token_of_owner(view, owner), **asdict(asked)})
        return self.services.replica_client.autoload(owner, view.key, epoch, body, root)

    async def _begin(self, view: PageView, root: str, asked: Asked) -> Session | str | None:
        """The session, or the script of whoever has it; None if the app fails.

        Where the app has run, it is known which extensions it draws with. Panel's scripts are those of a
        Document.
        """
        try:
            return await self.services.router.page(
                view.key, view.request, lambda owner, epoch: self._ask_owner(view, root, asked, owner, epoch)
            )
        except NotAuthorized:
            raise
        except AppError as error:
            # Logged by who ran it. The socket that follows tells the user, which a script cannot.
            log.debug("cannot load the component classes of %s: %s", self.app.path, error)
            return None

    async def prepare(self) -> None:
        self._admit_origin()
        if self.request.method != "OPTIONS":  # browsers send no cookies with a preflight
            await super().prepare()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self._admit_origin()  # the headers begin anew
        super().write_error(status_code, **kwargs)

    async def options(self, /, *args: str, **kwargs: str) -> None:
        """Preflight of browsers that send headers along (``server_session``)."""
        wanted = self.request.headers.get("Access-Control-Request-Headers")
        if wanted:
            self.set_header("Access-Control-Allow-Headers", wanted)
        self.set_header("Access-Control-Allow-Methods", "GET, OPTIONS")
        self.set_status(204)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the script in the embedding page wants."""

    element_id: str
    app_path: str = "/"
    absolute_url: str | None = None
    resources: bool = True


async def script_of_session(
    session: Session, resources: PageResources, root: str, asked: Asked, token: str
) -> str:
    """As :func:`render_script`, with what this session's Document needs."""

    async def bundle() -> Bundle:
        found: Bundle = panel_bundle(session, resources.of_server(root), root)
        return found

    of_panel = session.app.panel and asked.resources
    found = await session.with_document_locked(bundle) if of_panel else None
    if found is None:  # or the session has just ended
        return render_script(resources, root, asked, token)
    return _script(found, asked, token)


def render_script(resources: PageResources, root: str, asked: Asked, token: str) -> str:
    """The script that draws an app into an element of somebody else's page.

    ``root`` is what our URLs begin with, seen from there. Other apps may be in that page, too, and of several
    such scripts the first alone loads files (bokeh 3.9 and 3.10): so these are those of all apps.
    """
    return _script(resources.bundle(root) if asked.resources else resources.bare_bundle(), asked, token)


def _script(bundle: Bundle, asked: Asked, token: str) -> str:
    item = RenderItem(token=token, elementid=ID(asked.element_id), use_for_title=False)
    script = script_for_render_items({}, [item], app_path=asked.app_path, absolute_url=asked.absolute_url)
    bundle.add(Script(script))
    return str(autoload_template().render(bundle=bundle, elementid=asked.element_id))


def located(asked: Asked, app_path: str, prefix: str) -> tuple[str, Asked]:
    """What our URLs begin with, seen from the embedding page, and ``asked`` with URLs as they are written.

    What that page says of the app at ``app_path`` has what a proxy puts before it, too. And what was escaped
    in there is not any more: ``server_document`` (bokeh 3.9, 3.10) does not escape again. Raises HTTPError.
    """
    try:
        parts = urlsplit(asked.absolute_url or "")
    except ValueError:
        raise HTTPError(400, "bokeh-absolute-url is not a URL") from None
    server = f"{parts.scheme}://{parts.netloc}" if asked.absolute_url is not None else ""
    there, own = (
        [unquote(part) for part in path.split("/") if part]
        for path in (parts.path if server else asked.app_path, app_path)
    )
    before = there[: len(there) - len(own)]
    if before + own != there:
        return f"{server}{prefix}/", asked
    root = "".join(f"/{quoted(part)}" for part in before)
    path = (root + app_path.rstrip("/")) or "/"
    return f"{server}{root}/", replace(asked, app_path=path, absolute_url=server + path if server else None)
