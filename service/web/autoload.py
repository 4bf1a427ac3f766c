"""``autoload.js``: what ``server_document`` and ``server_session`` put into pages elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from bokeh.core.templates import AUTOLOAD_JS
from bokeh.core.types import ID
from bokeh.embed.bundle import Script
from bokeh.embed.elements import script_for_render_items
from bokeh.embed.util import RenderItem
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from service.apps.app import App
from service.errors import AppError, NotAuthorized
from service.page_versions import PageVersions
from service.web.opening import AppHandler, PageView
from service.web.resources import PageResources
from service.web.urls import quoted
from store.contract import Heartbeat

__all__ = ("Asked", "AutoloadHandler", "located", "render_script")

log = logging.getLogger(__name__)


class AutoloadHandler(AppHandler):
    """``GET /app/autoload.js``. Does not need the Document, but once the model classes of the app."""

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
        if not self.app.built:
            await self._load_classes(view)
        return render_script(self.services.resources, root, asked, view.token, self.app)

    async def _script_of_owner(self, view: PageView, root: str, asked: Asked) -> str | None:
        """Where the session lives at a replica of other versions, that one's scripts are needed."""
        holder = await self.holder_of_other_versions(view)
        if holder is None:
            return None
        owner, epoch = holder
        body = json.dumps({"token": self.token_of_owner(view, owner), **asdict(asked)})
        try:
            return await self.services.dialer.autoload(owner, view.key, epoch, body, root)
        except (HTTPClientError, OSError) as error:
            log.warning("the session's owner gives no script: %s", error, extra=view.key.facts)
            return None

    async def _load_classes(self, view: PageView) -> None:
        """Begin the session here: where the app has run, it is known which extensions it draws with."""

        def dial(owner: Heartbeat, epoch: int) -> Awaitable[str]:
            return self.services.dialer.page(owner, view.key, epoch, view.token, "./")

        try:
            await self.services.router.page(view.key, view.request, dial)
        except NotAuthorized:
            raise
        except AppError as error:
            # Logged by who ran it. The socket that follows tells the user, which a script cannot.
            log.debug("no classes of %s: %s", self.app.path, error)

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


def render_script(resources: PageResources, root: str, asked: Asked, token: str, app: App) -> str:
    """The script that draws the app into an element of somebody else's page.

    ``root`` is what our URLs begin with, seen from there.
    """
    bundle = resources.bundle(root, app) if asked.resources else resources.bare_bundle()
    item = RenderItem(token=token, elementid=ID(asked.element_id), use_for_title=False)
    script = script_for_render_items({}, [item], app_path=asked.app_path, absolute_url=asked.absolute_url)
    bundle.add(Script(script))
    return str(AUTOLOAD_JS.render(bundle=bundle, elementid=asked.element_id))


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
