"""``autoload.js``: what ``server_document`` and ``server_session`` put into pages elsewhere."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from bokeh.core.templates import AUTOLOAD_JS
from bokeh.core.types import ID
from bokeh.embed.bundle import Bundle, Script
from bokeh.embed.elements import script_for_render_items
from bokeh.embed.util import RenderItem
from tornado.web import HTTPError

from service.errors import AppError, NotAuthorized
from service.web.opening import AppHandler, PageView

__all__ = ("AutoloadHandler",)

log = logging.getLogger(__name__)


class AutoloadHandler(AppHandler):
    """``GET /app/autoload.js``. Does not need the Document, but once the model classes of the app."""

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

    async def get(self) -> None:
        with self.span("autoload.js"):
            await self._answer()

    async def _answer(self) -> None:
        element_id = self.get_argument("bokeh-autoload-element", "")
        if not element_id:
            raise HTTPError(400, "the bokeh-autoload-element argument is missing")
        view = await self.view()
        await self.hand_off(view)
        if not self.app.built:
            await self._load_classes(view)
        self.set_header("Content-Type", "application/javascript; charset=utf-8")
        self.keep_for_its_browser()
        self.finish(self._script(element_id, view.token))

    async def _load_classes(self, view: PageView) -> None:
        """Begin the session here: where the app has run, it is known which extensions it draws with."""
        try:
            await self.services.router.page(view.key, view.request, view.token)
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

    async def options(self) -> None:
        """Preflight of browsers that send headers along (``server_session``)."""
        wanted = self.request.headers.get("Access-Control-Request-Headers")
        if wanted:
            self.set_header("Access-Control-Allow-Headers", wanted)
        self.set_header("Access-Control-Allow-Methods", "GET, OPTIONS")
        self.set_status(204)

    def _script(self, element_id: str, token: str) -> str:
        absolute_url = self.get_argument("bokeh-absolute-url", None)
        bundle = self._bundle(absolute_url)
        item = RenderItem(token=token, elementid=ID(element_id), use_for_title=False)
        app_path = self.get_argument("bokeh-app-path", "/")
        bundle.add(Script(script_for_render_items({}, [item], app_path=app_path, absolute_url=absolute_url)))
        return str(AUTOLOAD_JS.render(bundle=bundle, elementid=element_id))

    def _bundle(self, absolute_url: str | None) -> Bundle:
        if self.get_argument("resources", "default") == "none":
            return self.services.resources.bare_bundle()
        if absolute_url is None:
            return self.services.resources.bundle()
        try:
            parts = urlsplit(absolute_url)
        except ValueError:
            raise HTTPError(400, "bokeh-absolute-url is not a URL") from None
        return self.services.resources.bundle(f"{parts.scheme}://{parts.netloc}")
