"""``--reuse-sessions``: a page that Panel has drawn of one session, for the next ones of the app.

``panel serve`` (1.9 and 1.10) keeps the session that it drew, and sends its page again around another token.
Here the page alone is kept: ids of models are the same whenever the same code runs, but for what they begin
with, which says whose they are.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

from tornado.httputil import HTTPServerRequest

from service.apps.app import App
from service.apps.panel_access import SessionKeyFunc, session_key_func
from service.documents.ids import IdSpace
from service.sessions.session import Session

if TYPE_CHECKING:
    from service.web.opening import PageView

__all__ = ("ReusedPages",)

log = logging.getLogger(__name__)

MAX_PAGES = 200
"""What makes pages differ may come from their URLs, and so from strangers."""

_TOKEN, _PREFIX = "\ue000token\ue001", "\ue000prefix\ue001"
"""Of Unicode's private use area: pages do not have them."""


class ReusedPages:
    """Pages without what they say of their session: by app, its code, its user and what Panel's key says."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Hashable, str] = OrderedDict()
        self._keys: dict[str, SessionKeyFunc | None] = {}
        """Of each app how requests are told apart; None where pages are not to be reused."""

    def find(self, app: App, request: HTTPServerRequest, view: PageView, root: str) -> str | None:
        """The page for ``view``, with URLs that begin with ``root``, if one was kept for requests like it."""
        key = self._key(app, request, view, root)
        kept = None if key is None else self._pages.get(key)
        if kept is None:
            return None
        self._pages.move_to_end(key)
        return kept.replace(_TOKEN, view.token).replace(_PREFIX, _prefix(view))

    async def keep(
        self, session: Session, request: HTTPServerRequest, view: PageView, root: str, page: str
    ) -> None:
        """``page`` was drawn of a session that began for ``view``."""
        app = session.app
        if session.generation != app.generation:
            return  # drawn by code that is gone
        self._keys[app.path] = await session.with_document_locked(session_key_func)
        key = self._key(app, request, view, root)
        kept = page.replace(view.token, _TOKEN).replace(_prefix(view), _PREFIX)
        if key is None or view.key.session_id in kept:
            return
        self._pages[key] = kept
        if len(self._pages) > MAX_PAGES:
            self._pages.popitem(last=False)

    def _key(self, app: App, request: HTTPServerRequest, view: PageView, root: str) -> Hashable | None:
        tell_apart = self._keys.get(app.path)
        if tell_apart is None:
            return None
        try:
            said = tell_apart(request)
            hash(said)
        except Exception:
            log.exception("%s: session_key_func failed: no page is reused", app.path)
            return None
        return app.path, app.version, app.generation, view.request.user, root, said


def _prefix(view: PageView) -> str:
    return IdSpace(view.key.tag).prefix
