"""The parameters of Panel's objects behind the models of a Document (panel 1.9 and 1.10).

A journal brings models back, but what an app computes with next are the objects that made them: a pane whose
callback appends to ``pane.object`` must go on from what its model shows. What a model shows of it cannot be
turned back into it in general, so the object's own value is kept, where it is plain.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bokeh.document import Document
from bokeh.model import DataModel, Model

from service.apps import jupyter_widgets
from service.apps.holoviews_streams import figures_of, heard_by, is_plot, read_streams, stream_values
from service.apps.panel_chats import (
    go_on,
    is_answering,
    is_chat,
    is_placeholder,
    models_of_message,
    models_of_widgets,
    parts_of_messages,
)
from service.apps.panel_layouts import (
    PASSING,
    describe,
    fill_layout,
    is_feed,
    is_layout,
    unseen_objects,
)
from service.apps.panel_tables import (
    Cells,
    cells_of,
    edited_cells,
    is_table,
    read_table,
    replay_edits,
    restore_table,
    table_of,
)
from service.apps.when_imported import imported
from service.documents.attributes import property_of
from service.documents.identical import identical
from service.documents.ids import IdSpace

__all__ = ("PanelObjects",)

log = logging.getLogger(__name__)

_STATE = "panel.io.state"
_SHOWN = ("object", "value", "clicks", "clicked")
"""Parameters that a model shows in another form, or not at all."""

_PLAIN = (str, int, float, bool, bytes, type(None))

Parameters = Mapping[str, Any]


class PanelObjects:
    """What is kept of the objects behind the models of one Document. Made right after the app's run."""

    def __init__(self, ids: IdSpace) -> None:
        self._ids = ids
        self._built = ids.count
        self._cells: dict[str, Cells] = {}
        """Cells that users edited, by the id of the table's model."""
        self._widgets = jupyter_widgets.JupyterWidgets(ids)

    # -- keeping -------------------------------------------------------------------------------

    def patched(self, source: Model, patches: Mapping[str, Iterable[Any]]) -> None:
        """A client changes single values of a data source. Not handled by Panel yet."""
        table = table_of(source)
        if table is not None:
            edits = edited_cells(table, patches)
            for model, _ in table._models.values():
                if model.source is source:
                    known = self._cells.get(model.id, {})
                    self._cells[model.id] = {**{cell: None for cell in known if cell not in edits}, **edits}

    def received(self, document: Document, kind: str, data: Any) -> list[str]:
        """A client sends a message; ids of the models that are concerned."""
        return self._widgets.received(document, data) if kind == jupyter_widgets.MESSAGES else []

    def sent(self, document: Document, kind: str, data: Any) -> list[str]:
        """Clients are sent a message; ids of the models that are concerned."""
        return self._widgets.sent(document, data) if kind == jupyter_widgets.MESSAGES else []

    def read(self, document: Document, changed: Mapping[str, set[str]]) -> dict[str, Parameters]:
        """What is to be kept by model id, for models of which these attributes ever changed."""
        found: dict[str, dict[str, Any]] = {}
        objects = list(_objects(document))
        chats = [viewable for _, viewable, _ in objects if is_chat(viewable)]
        for model, viewable, ref in objects:
            if changed.keys().isdisjoint(_ids_of(model, viewable, ref)):
                continue
            # A chat message and the row that it is made of share a model: it comes first.
            found[model.id] = {
                **_plain_parameters(
                    viewable, set().union(*(changed.get(each, ()) for each in _own_ids(model)))
                ),
                **self._of_class(model, viewable, ref, chats),
                **found.get(model.id, {}),
            }
        for model in jupyter_widgets.models_of(document):
            if model.id in changed:
                found.setdefault(model.id, {})[_WIDGETS] = self._widgets.read(model)
        return {model_id: values for model_id, values in found.items() if values}

    def _of_class(self, model: Any, viewable: Any, ref: str, chats: list[Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        if is_table(viewable):
            kept[_TABLE] = read_table(viewable, self._cells.get(model.id, {}))
        if is_feed(viewable):
            kept[_UNSEEN] = unseen_objects(viewable, ref)
        if is_plot(viewable):
            kept[_STREAMS] = read_streams(viewable, ref)
        if not 0 < self._ids.number(model.id) <= self._built:
            kept[_MADE] = describe(viewable, ref)
            if kept[_MADE] and is_placeholder(viewable, chats):
                kept[_MADE][PASSING] = True
        return {name: value for name, value in kept.items() if value}

    def clicks(self, model: Model) -> object:
        """What the object behind a model has counted, or heard; None where nothing does."""
        # bokeh 3.9 and 3.10: where a model keeps its callbacks.
        for callbacks in model._event_callbacks.values():
            for callback in callbacks:
                heard = heard_by(callback)
                if heard is not None:
                    return heard
                owner = getattr(getattr(callback, "func", None), "__self__", None)
                if owner is not None:
                    return getattr(owner, "clicks", None), getattr(owner, "clicked", None)
        return None

    def made_anew(self, document: Document, models: set[str]) -> set[str]:
        """Those of ``models`` that come back without the input that made them."""
        return parts_of_messages(((viewable, ref) for _, viewable, ref in _objects(document)), models)

    # -- restoring -----------------------------------------------------------------------------

    def not_replayed(self, document: Document) -> set[str]:
        """Models of which inputs are set silently: what a chat was given it must not answer once more."""
        chats = ((viewable, ref) for _, viewable, ref in _objects(document) if is_chat(viewable))
        return {model_id for chat, ref in chats for model_id in models_of_widgets(chat, ref)}

    def replaying(self, document: Document, stored: Mapping[str, Parameters]) -> Callable[[], None] | None:
        """Does again what clients did besides setting properties; None when they did nothing.

        Must run in the Document's context, after all inputs. The app's callbacks hear of it.
        """
        edited = any(kept.get(_TABLE) or kept.get(_WIDGETS, {}).get("inputs") for kept in stored.values())
        return partial(self._replay, document, stored) if edited else None

    def _replay(self, document: Document, stored: Mapping[str, Parameters]) -> None:
        for model, viewable, _ in _objects(document):
            kept = stored.get(model.id, {}).get(_TABLE)
            if kept and is_table(viewable):
                replay_edits(viewable, model, kept, _execute)
        self._widgets.replay([kept[_WIDGETS] for kept in stored.values() if _WIDGETS in kept])

    def restore(self, document: Document, stored: Mapping[str, Parameters]) -> None:
        """Give the objects what was kept; nobody hears of it, as their models are right already.

        Must run in the Document's context.
        """
        for model, viewable, ref in _objects(document):
            kept = stored.get(model.id, {})
            with _apart(viewable):
                self._restore(model, viewable, kept)
            if _STREAMS in kept and is_plot(viewable):
                with _apart(viewable):
                    for stream, values in stream_values(viewable, ref, kept[_STREAMS]):
                        _set_silently(stream, values)
        for model in jupyter_widgets.models_of(document):
            with _apart(model):
                self._widgets.restore(model, stored.get(model.id, {}).get(_WIDGETS, {}))

    def _restore(self, model: Any, viewable: Any, kept: Parameters) -> None:
        if is_table(viewable):
            table = kept.get(_TABLE, {})
            self._cells[model.id] = cells_of(table)
            restore_table(viewable, model, table)
        values = {name: kept[name] for name in kept if name in viewable.param}
        values = {
            name: value for name, value in values.items() if not identical(getattr(viewable, name), value)
        }
        if values:
            _set_silently(viewable, values)

    def complete(self, document: Document, stored: Mapping[str, Parameters]) -> bool:
        """Make objects for models that the app added while it ran; whether there were any.

        Must run in the Document's context. Changes the Document, not all of it at once.
        """
        objects = list(_objects(document))
        # A chat and the card that it is made of share a model: layouts have the chat, which comes first.
        known = {model.id: viewable for model, viewable, _ in reversed(objects)}
        chats = {id(each._chat_log): each for _, each, _ in objects if is_chat(each)}
        filled = False
        for model, viewable, ref in objects:
            if is_layout(viewable) and not is_chat(viewable):
                chat = chats.get(id(viewable))
                filled |= fill_layout(viewable, model, ref, known=known, stored=stored, chat=chat)
        waiting = [chat for chat in chats.values() if filled or is_answering(chat)]
        for chat in waiting:
            go_on(chat)
        return filled or bool(waiting)


@contextmanager
def _apart(which: object) -> Iterator[None]:
    """What is the matter with one object is no matter of the session."""
    try:
        yield
    except Exception:
        log.exception("cannot restore the stored state of a Panel object: %r", which)


_TABLE, _MADE, _UNSEEN, _WIDGETS, _STREAMS = "-table", "-made", "-unseen", "-ipywidgets", "-streams"
"""Keys of what is kept besides parameters, none of which has such a name."""


def _ids_of(model: Any, viewable: Any, ref: str) -> set[str]:
    """The models whose changes may mean that there is something new to be kept of the object."""
    if is_table(viewable):
        return {model.id, model.source.id, model.source.selected.id}
    if is_plot(viewable):
        return {model.id, *figures_of(viewable, ref)}
    return {*_own_ids(model), *models_of_message(viewable, ref)}


def _own_ids(model: Any) -> set[str]:
    """The models that have the object's parameters: two for components with JavaScript of their own."""
    data = property_of(model, "data")
    return {model.id, data.id} if isinstance(data, DataModel) else {model.id}


def _execute(callback: Callable[..., Any], *args: Any) -> None:
    """As Panel runs handlers of events: on its threads, or awaited, where the app wants that."""
    sys.modules[_STATE].state.execute(partial(callback, *args), schedule=False)


def _objects(document: Document) -> Iterator[tuple[Any, Any, str]]:
    """Models, the objects behind them, and by which name those know what they are shown in.

    Not those whose model's id another one has: repeated inputs may make other things than they did.
    """
    models = document.models
    state = imported(_STATE)
    if state is None:
        return
    for ref, (view, _root, owner, _comm) in list(state.state._views.items()):
        if owner is document and hasattr(view, "select"):
            for viewable in view.select():
                model = getattr(viewable, "_models", {}).get(ref)
                if model is not None and models.get_by_id(model[0].id) in (None, model[0]):
                    yield model[0], viewable, ref


def _plain_parameters(viewable: Any, attributes: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(viewable, name) for name in _parameters(viewable, attributes)}
    return {name: value for name, value in values.items() if _is_plain(value)}


def _parameters(viewable: Any, attributes: Iterable[str]) -> Iterable[str]:
    renamed = {theirs: ours for ours, theirs in viewable._property_mapping.items() if theirs is not None}
    names = {renamed.get(attr, attr) for attr in attributes} | set(_SHOWN)
    return [name for name in names if name in viewable.param and not viewable.param[name].constant]


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return type(value) in _PLAIN and not (type(value) is int and value.bit_length() > 63)


def _set_silently(viewable: Any, values: Parameters) -> None:
    """A parameter that follows another, or a function, goes on to do so, as where Panel takes inputs."""
    from panel.util.parameters import edit_readonly
    from param.parameterized import _syncing, discard_events

    try:
        with discard_events(viewable), edit_readonly(viewable), _syncing(viewable, list(values)):
            viewable.param.update(**values)
    except ValueError as error:  # the app's bounds or options are others by now
        log.warning("an object of Panel's does not take back %s: %s", ", ".join(values), error)
