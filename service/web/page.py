"""The app's page: a shell where the Document does not matter for it, else rendered by its owner."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress

from bokeh.core.types import ID
from bokeh.embed.elements import html_page_for_render_items
from bokeh.embed.util import RenderItem

from service.apps.app import App
from service.apps.panel import panel_page
from service.apps.panel_login import refusal_page
from service.background import spawn
from service.errors import AppError, NotAuthorized, ServiceError, SessionMoved
from service.sessions.session import Session
from service.web.opening import AppHandler, PageView
from service.web.resources import TEMPLATES, PageResources
from service.web.updated import UPDATED_ARGUMENT, after_update, into_body, with_losses
from store.contract import Heartbeat
from store.errors import StoreError

__all__ = ("PageHandler", "render_page", "render_shell")

TOKEN_MARK = "svc-token-goes-here"
_IDLE_AGAIN = f"<script>{(TEMPLATES / 'idle_again.js').read_text(encoding='utf-8').strip()}</script>"
_EARLY_SOCKET = (TEMPLATES / "early_socket.js").read_text(encoding="utf-8").strip()
SHELL = f"""{{% block preamble %}}<script>
{_EARLY_SOCKET}("{TOKEN_MARK}")
</script>
{{% endblock %}}"""


class PageHandler(AppHandler):
    """``GET /app``."""

    async def get(self, /, *args: str, **kwargs: str) -> None:
        with self.span("page"):
            await self._answer()

    async def _answer(self) -> None:
        view = await self.view()
        await self.hand_off(view)
        again = view.requested and self.get_argument(UPDATED_ARGUMENT, None) is not None
        if self.app.page_is_shell and not again and not await self.holder_of_other_versions(view):
            page = render_shell(
                self.services.resources, self.relative_root, view.token, self.app.needed_bundles, self.app
            )
        elif (reused := self._reused(view)) is not None:
            page = reused
        else:
            try:
                page = await self._page_of_document(view)
            except NotAuthorized as error:
                if error.location is None:
                    raise
                self.redirect(error.location)
                return
        if again:
            page = after_update(page)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.keep_for_its_browser()
        self.finish(page)

    def compute_etag(self) -> str | None:
        """None: no two pages are the same."""
        return None

    def _reused(self, view: PageView) -> str | None:
        """The page that was drawn of another session (``--reuse-sessions``)."""
        reused = self.services.reused
        if reused is None or view.requested or not self.app.panel:
            return None
        page = reused.find(self.app, self.request, view, self.relative_root)
        if page is not None and self.services.settings.reuse_sessions == "warm":
            spawn(self._begin(view))
        return page

    async def _begin(self, view: PageView) -> None:
        """Run the app for a page that does not wait for it."""
        with suppress(ServiceError, StoreError):  # its socket will be told
            await self.services.router.page(view.key, view.request, _nobodys)

    async def _page_of_document(self, view: PageView) -> str:
        services, root = self.services, self.relative_root

        def dial(owner: Heartbeat, epoch: int) -> Awaitable[str]:
            return services.replica_client.page(
                owner, view.key, epoch, self.token_of_owner(view, owner), root
            )

        while True:
            found = await services.router.page(view.key, view.request, dial)
            if isinstance(found, str):
                return found
            with suppress(SessionMoved):
                page = await render_page(found, services.resources, root, view.token)
                if services.reused is not None and self.app.panel and not view.requested:
                    await services.reused.keep(found, self.request, view, root, page)
                if services.developing:
                    services.rendered.drawn(view.token_id, found.generation)
                return page
            if services.closed:
                raise SessionMoved("the session moves to another replica")

    def error_page(self, error: BaseException | None, text: str, retry: int | None) -> str:
        template = self.services.settings.auth_template
        if template is not None and isinstance(error, NotAuthorized):
            return refusal_page(template, text)
        return super().error_page(error, text, retry)

    def explain(self, error: BaseException | None, failure: ServiceError | None) -> str:
        if isinstance(error, AppError) and not isinstance(error, NotAuthorized):
            detail = error.detail if self.services.developing else ""
            return f"{error.told}\n\n{detail or 'Its log says why.'}"
        return super().explain(error, failure)


async def _nobodys(owner: Heartbeat, epoch: int) -> str:
    """A session that nobody has heard of is nobody's."""
    return ""


async def render_page(session: Session, resources: PageResources, root: str, token: str) -> str:
    """The page of a session's Document, as ``server_html_page_for_session`` makes it (bokeh 3.9).

    ``root`` is what our URLs begin with, seen from the page. Raises SessionMoved when it has just left.
    """
    page: str | None = await session.with_document_locked(_render, session, resources, root, token)
    if page is None:
        raise SessionMoved("the session has just left this replica")
    return page


async def _render(session: Session, resources: PageResources, root: str, token: str) -> str:
    """A coroutine, as it is drawn on the event loop: no page waits for a thread."""
    return with_losses(_rendered(session, resources, root, token), session.pages.take_losses())


def _rendered(session: Session, resources: PageResources, root: str, token: str) -> str:
    document = session.document
    if session.app.panel:
        return into_body(panel_page(session, resources.of_server("/"), root, token), _IDLE_AGAIN)
    return html_page_for_render_items(
        resources.bundle(root, session.app),
        {},
        [RenderItem(token=token, roots=document.roots, use_for_title=True)],
        document.title,
        template=document.template,
        template_variables=document.template_variables,
    )


def render_shell(
    resources: PageResources, root: str, token: str, needed_bundles: frozenset[str], app: App | None = None
) -> str:
    """A page with one element into which BokehJS puts every root, as for ``server_document``.

    The same for every visitor but for the token, so it is rendered once per set of scripts.
    """
    name = f"shell {root} {sorted(needed_bundles)} {sorted(resources.others(app))}"
    parts = resources.once(name, lambda: _shell_parts(resources, root, needed_bundles, app))
    return token.join(parts)


def _shell_parts(
    resources: PageResources, root: str, needed_bundles: frozenset[str], app: App | None
) -> list[str]:
    item = RenderItem(token=TOKEN_MARK, elementid=ID("svc-document"), use_for_title=True)
    bundle = resources.shell_bundle(root, needed_bundles, app)
    page: str = html_page_for_render_items(bundle, {}, [item], None, SHELL)
    return page.split(TOKEN_MARK)
