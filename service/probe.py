"""Whether this server can make sessions at all: one of nobody's goes the way that users' sessions go.

It has a plot and a widget; it is built, drawn, changed as by a browser, journaled, restored as after a move,
and ended. Nothing of it reaches the store. What fails here fails for every app, so it is no app's fault: an
incompatible Bokeh, most likely. It makes do without ``bokeh.plotting``, which takes a while to import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.models import Column, ColumnDataSource, Line, Plot
from bokeh.models.widgets.sliders import Slider

from service.apps.app import App
from service.apps.loading import apps_from_applications
from service.documents.encoding import apply_patch, encode_document
from service.documents.restore import Fidelity
from service.errors import AppError, AppLoadError
from service.metrics import Metrics
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.session import Session
from service.web.page import render_page
from service.web.resources import PageResources
from store.contract import JournalFields, PageRequest, SessionKey

__all__ = ("try_session", "warm")

_PATH = "/svc-probe"
_BEFORE, _AFTER = 1, 2


async def try_session(resources: PageResources) -> None:
    """Raises what keeps this server from making, showing or restoring sessions."""
    application = Application(FunctionHandler(_fill))
    app = apps_from_applications({_PATH: application})[_PATH]
    # With metrics of its own: this is no visitor.
    builder = Builder(durable=True, replay_inputs=True, metrics=Metrics())
    async with _session(app, builder) as session:
        await render_page(session, resources, "./", "no token")
        await session.with_document_locked(_pull, session)
        await session.apply(lambda: _slide(session), _nobody())
        fields = _journaled(session)
    async with _session(app, builder, fields) as restored:
        _check(restored)


async def warm(app: App) -> None:
    """Run the app once for nobody: what it imports and keeps is there then. Raises AppLoadError."""
    builder = Builder(durable=False, replay_inputs=False, metrics=Metrics())
    try:
        async with _session(app, builder):
            pass
    except AppError as error:
        raise AppLoadError(f"--warm: {app.path} fails: {error}") from error


@asynccontextmanager
async def _session(app: App, builder: Builder, fields: JournalFields | None = None) -> AsyncIterator[Session]:
    request = PageRequest(uri=app.path)
    grant = OwnershipGrant(SessionKey(app.path, "probe"), 1, request, fields)
    session = await builder.build_alone(app, grant)
    try:
        yield session
    finally:
        await session.destroy(_farewell)


async def _farewell() -> None:
    """There is nobody to tell."""


def _fill(document: Document) -> None:
    source = ColumnDataSource({"x": [0, 1], "y": [0, _BEFORE]}, name="source")
    plot = Plot(width=100, height=100)
    plot.add_glyph(source, Line(x="x", y="y"))
    slider = Slider(start=0, end=10, value=_BEFORE, name="slider")
    slider.on_change("value", lambda attr, old, new: source.data.update(y=[0, new]))
    document.add_root(Column(children=[slider, plot]))


async def _pull(session: Session) -> None:
    assert session.journal is not None
    session.journal.pulled(*encode_document(session.document, inline=False))


def _slide(session: Session) -> None:
    """As the patch of a browser does it."""
    slider = _model(session, "slider")
    event = {"kind": "ModelChanged", "model": {"id": slider.id}, "attr": "value", "new": _AFTER}
    apply_patch(session.document, {"events": [event]}, (), session)


def _nobody() -> Any:
    """Stands for the connection that a change came from."""
    return object()


def _journaled(session: Session) -> JournalFields:
    assert session.journal is not None
    return JournalFields({name: bytes(packed) for name, packed in session.journal.take().put.items()})


def _check(restored: Session) -> None:
    seen = _model(restored, "slider").value, list(_model(restored, "source").data["y"])
    if restored.fidelity is not Fidelity.EXACT or seen != (_AFTER, [0, _AFTER]):
        raise RuntimeError(f"a session is not restored as it was: {restored.fidelity}, {seen}")


def _model(session: Session, name: str) -> Any:
    return session.document.select_one({"name": name})
