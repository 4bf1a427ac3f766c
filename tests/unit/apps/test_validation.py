"""Bokeh's validation of an app's models: said once per app, not once per session."""

from __future__ import annotations

import logging

import pytest
from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.models import Plot

from service.apps.app import App
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.imports import ImportSpace
from service.documents import curdoc, ids
from service.documents.ids import IdSpace, new_document
from store.contract import PageRequest


def _modify(document: Document) -> None:
    document.add_root(Plot())


async def test_what_is_wrong_with_the_models_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    ids.install()
    curdoc.install()
    app = App("/empty", Application(FunctionHandler(_modify)), ImportSpace(None))
    with caplog.at_level(logging.WARNING):
        for session in ("one", "two"):
            space = IdSpace(session)
            document = new_document(space)
            context = AppSessionContext(session, app.server_context, document, PageRequest())
            await app.build(context, Execution(app.imports, space, document))
    assert sum("MISSING_RENDERERS" in record.getMessage() for record in caplog.records) == 1
