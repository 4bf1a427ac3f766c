"""The admin page as an app. Imported with ``--admin`` only, as it draws with much of ``bokeh.models``.

Built from Bokeh's public models and the store's contract; who may see it is the web layer's matter.
"""

from __future__ import annotations

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document

from service.admin.page import AdminPage
from service.admin.watch import FleetWatch
from service.apps.app import App
from service.apps.imports import ImportSpace
from store.contract import Store

__all__ = ("admin_app",)


def admin_app(store: Store, watch: FleetWatch, *, can_drain: bool, path: str = "/admin") -> App:
    """The app at ``path``. Without ``can_drain`` there is no other replica to drain to."""

    def build(document: Document) -> None:
        AdminPage(document, store, watch, can_drain=can_drain)

    return App(path, Application(FunctionHandler(build)), ImportSpace(None), for_operators=True)
