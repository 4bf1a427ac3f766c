"""The ipywidgets of Panel apps (ipywidgets 8, ipywidgets_bokeh 1, panel 1.9 and 1.10).

A pane shows a widget by a Bokeh model that has the state of the widget, and of all that it refers to, as it
was when the model was made. From then on page and widget exchange messages of their own, by the ids of comms.
So that they go on after a move

- comms have ids of the session, the same on each replica;
- what the model has is made anew before a page gets it;
- the states are kept, with what clients set, which is done again.

What Panel and these packages keep per process is kept apart by session here: widgets, and where comms lead.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from base64 import standard_b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any

from bokeh.document import Document
from bokeh.model import Model

from service.apps.when_imported import imported, when_imported
from service.documents.ids import IdSpace, current_ids

__all__ = ("MESSAGES", "JupyterWidgets", "close_widgets", "install", "models_of", "place_of", "refresh")

log = logging.getLogger(__name__)

MESSAGES = "ipywidgets_bokeh"
"""The type of the messages of comms."""

_PANEL = "panel.io.ipywidget"
_REFERENCE = "IPY_MODEL_"

Key = tuple[str, str]
"""Of a value: the id of the comm, and which trait."""


def install() -> None:
    """From when Panel's support for ipywidgets is imported on. Idempotent."""
    when_imported(_PANEL, _prepare)


def _prepare(panel: Any) -> None:
    """Before Panel has made anything."""
    widgets: Any = sys.modules["ipywidgets.widgets.widget"]
    widgets._instances = _Instances(widgets._instances)
    panel._IPyComm = _Comms(panel._IPyComm)
    _remember_widgets(panel.IPyWidget)
    panel.IPyWidget.__css__ = []  # a font from elsewhere, which its script brings along


class _Instances(dict[str, Any]):
    """All widgets of the process by id, as ipywidgets has them. Code of a session sees the session's own.

    And those without a Document, which belong to the first that shows them.
    """

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) and _is_visible(super().__getitem__(key))  # type: ignore[index]

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self.items()])

    def keys(self) -> Any:
        return list(self)

    def values(self) -> Any:
        return [widget for _, widget in self.items()]

    def items(self) -> Any:
        every = list(super().items())  # threads of other sessions add to it
        return [each for each in every if _is_visible(each[1])]


def _is_visible(widget: Any) -> bool:
    document = sys.modules["panel.io.state"].state.curdoc
    return document is None or getattr(widget, "_document", None) in (document, None)


class _Comms(threading.local):
    """Makes comms, in the place of ipykernel's class. Before each, Panel sets its attribute ``kernel``.

    Sessions that are built at the same time, on several threads, would get each other's.
    """

    def __init__(self, cls: Any) -> None:
        self._class = cls
        self.kernel: Any = None

    def __call__(self, **arguments: Any) -> Any:
        ids = current_ids.get()
        if ids is not None:
            arguments.setdefault("comm_id", str(ids.make()))
        comm = self._class.__new__(self._class)
        comm.kernel = self.kernel
        comm.__init__(**arguments)
        return comm


def _remember_widgets(cls: Any) -> None:
    make = cls.__init__

    def __init__(self: Any, *, widget: Any, **values: Any) -> None:  # noqa: N807
        make(self, widget=widget, **values)
        self._widget = widget

    cls.__init__ = __init__


def _kernel(document: Document) -> Any:
    """Through which the Document's comms go; None where there are none."""
    state = imported("panel.io.state")
    return None if state is None or imported(_PANEL) is None else state.state._ipykernels.get(document)


def close_widgets(document: Document) -> None:
    """The session has ended: what the process knows of its widgets is forgotten, and nobody told."""
    kernel = _kernel(document)
    if kernel is None:
        return
    del sys.modules["panel.io.state"].state._ipykernels[document]  # which has the Document as well
    instances: dict[str, Any] = _widgets()
    registered = sys.modules["comm"].get_comm_manager().comms
    for comm_id, comm in list(kernel.comm_manager.comms.items()):
        widget = dict.get(instances, comm_id)  # also where another session's code asks
        if widget is not None and widget.comm is comm:
            dict.pop(instances, comm_id)
            widget.comm = None
        if registered.get(comm_id) is comm:
            del registered[comm_id]
        comm._closed = True


class JupyterWidgets:
    """What is kept of the widgets of one Document."""

    def __init__(self, ids: IdSpace) -> None:
        self._ids = ids
        self._built = ids.count
        self._inputs: dict[Key, tuple[int, int, Any]] = {}
        """What clients were the last to set, with a number that grows, and the id counter as it was."""
        self._sequence = 0
        self._waiting: set[Key] = set()
        """What widgets do not have yet."""

    # -- keeping -------------------------------------------------------------------------------

    def received(self, document: Document, data: Any) -> list[str]:
        """A client sends a message, which was not handled yet; ids of the models that are concerned."""
        comm_id, method, state = _content(data)
        if method != "update":
            return []
        for name, value in state.items():
            self._sequence += 1
            self._inputs[comm_id, name] = self._sequence, self._ids.count, value
            self._waiting.add((comm_id, name))
        return _showing(document, comm_id)

    def sent(self, document: Document, data: Any) -> list[str]:
        """A widget says what it has; ids of the models that are concerned."""
        comm_id, method, state = _content(data)
        for name, value in state.items():
            key = comm_id, name
            if method == "echo_update" and key in self._waiting and self._inputs[key][-1] == value:
                self._waiting.discard(key)
            elif method == "update" and key not in self._waiting:
                self._inputs.pop(key, None)
        return _showing(document, comm_id)

    def read(self, model: Model) -> dict[str, Any]:
        """What is to be kept of the widgets that the model shows."""
        _refresh(model)
        states = _states(model)
        inputs = [[*key, *entry] for key, entry in self._inputs.items() if key[0] in states]
        waiting = [list(key) for key in self._waiting if key[0] in states]
        return {"states": states, "inputs": inputs, "waiting": waiting}

    # -- restoring -----------------------------------------------------------------------------

    def replay(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """Do again what clients did; the app's callbacks hear of it. ``kept`` is that of all models."""
        for comm_id, name, _, ids_before, value in _inputs_of(kept):
            widget = _widgets().get(comm_id)
            if widget is not None:
                self._ids.count = max(ids_before, self._built)
                update = {"method": "update", "state": {name: value}}
                widget._handle_msg({"content": {"data": update}, "buffers": []})

    def restore(self, model: Any, kept: Mapping[str, Any]) -> None:
        """Give the widgets the states that were kept; the app's callbacks do not hear of it.

        Without any, those that the model itself has, which were in the Document that a page had.
        """
        states = kept.get("states") or _states(model)
        waiting = self._resume(kept)
        _make_missing(states)
        for comm_id, embedded in states.items():
            widget = _widgets().get(comm_id)
            if widget is not None:
                _lay(widget, {**_with_buffers(embedded), **waiting.get(comm_id, {})})
        if getattr(model, "_widget", None) is None:
            model._widget = _widgets().get(model.bundle["spec"]["model_id"])
        _refresh(model)

    def _resume(self, kept: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What clients set and widgets did not have yet, by comm."""
        for comm_id, name, number, *rest in kept.get("inputs", ()):
            self._inputs[comm_id, name] = number, *rest
            self._sequence = max(self._sequence, number)
        found: dict[str, dict[str, Any]] = {}
        for comm_id, name in kept.get("waiting", ()):
            found.setdefault(comm_id, {})[name] = self._inputs[comm_id, name][-1]
        return found


def place_of(data: Any) -> list[str]:
    """The comm and the traits that a message sets; empty for others, as those of clicks are."""
    comm_id, method, state = _content(data)
    return [comm_id, *sorted(state)] if method == "update" else []


def models_of(document: Document) -> list[Any]:
    """The models that show widgets."""
    panel: Any = imported(_PANEL)
    return [] if panel is None else [each for each in document.models if isinstance(each, panel.IPyWidget)]


def _showing(document: Document, comm_id: str) -> list[str]:
    """Ids of the models that show the widget."""
    return [model.id for model in models_of(document) if comm_id in _states(model)]


def refresh(document: Document) -> None:
    """Let models show what their widgets have. Nobody hears of it: pages know from messages."""
    for model in models_of(document):
        _refresh(model)


def _widgets() -> dict[str, Any]:
    widgets: dict[str, Any] = sys.modules["ipywidgets.widgets.widget"]._instances
    return widgets


def _states(model: Any) -> Mapping[str, Any]:
    """By comm: the widget's own state and those of all that it refers to."""
    states: Mapping[str, Any] = model.bundle["state"]["state"]
    return states


def _refresh(model: Any) -> None:
    """As the model is made (ipywidgets_bokeh 1.8)."""
    widget = getattr(model, "_widget", None)
    if widget is None or widget.comm is None:
        return
    embed, cls = sys.modules["ipywidgets.embed"], sys.modules["ipywidgets"].Widget
    state = cls.get_manager_state(widgets=[widget])
    state["full_state"] = state["state"]
    state["state"] = embed.dependency_state([widget], drop_defaults=False)
    model._property_values["bundle"] = {"spec": widget.get_view_spec(), "state": state}


def _content(data: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Comm, method and state of a message; "" for those that are about no state."""
    try:
        message = json.loads(_json_of(data))
        content = message["content"]
        comm_id, changes = str(content["comm_id"]), content["data"]
        method, state = str(changes["method"]), changes.get("state", {})
    except (ValueError, KeyError, TypeError, AttributeError):  # which its receiver may complain about
        return "", "", {}
    return comm_id, method, state if isinstance(state, dict) else {}


def _json_of(data: Any) -> Any:
    """Binary messages begin with their number of parts and where those are, of which the first is JSON."""
    if not isinstance(data, bytes):
        return data
    count = int.from_bytes(data[:4], "big")
    places = [int.from_bytes(data[at : at + 4], "big") for at in range(4, 4 * (count + 1), 4)]
    return data[places[0] : places[1] if count > 1 else None]


def _inputs_of(kept: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """In their order, once each: several models may show the same widget."""
    found = {tuple(entry[:2]): entry for each in kept for entry in each["inputs"]}
    return sorted(found.values(), key=lambda entry: entry[2])


# -- states of widgets -----------------------------------------------------------------------------


def _with_buffers(embedded: Mapping[str, Any]) -> dict[str, Any]:
    """The state of one widget, as ``get_state`` gives it."""
    state: dict[str, Any] = deepcopy(embedded["state"])
    buffers = embedded.get("buffers", ())
    put: Any = sys.modules["ipywidgets.widgets.widget"]._put_buffers
    put(state, [each["path"] for each in buffers], [standard_b64decode(each["data"]) for each in buffers])
    return state


def _lay(widget: Any, state: Mapping[str, Any]) -> None:
    """Set the widget's traits: what is its own follows, but neither pages nor the app's code hear of it."""
    with _muted(widget), widget.hold_trait_notifications():
        for name, value in state.items():
            if name in widget.keys:
                read = widget.trait_metadata(name, "from_json", widget._trait_from_json)
                widget.set_trait(name, read(value, widget))


@contextmanager
def _muted(widget: Any) -> Iterator[None]:
    kernel, widget.comm.kernel = widget.comm.kernel, None
    told = widget._trait_notifiers  # traitlets 5
    widget._trait_notifiers = {
        name: {kind: _own(widget, callbacks) for kind, callbacks in kinds.items()}
        for name, kinds in told.items()
    }
    try:
        yield
    finally:
        widget._trait_notifiers = told
        widget.comm.kernel = kernel


def _own(widget: Any, callbacks: Iterable[Any]) -> list[Any]:
    """Those of the widget's class, and Panel's by which parameters follow the widget."""
    declared = sys.modules["traitlets"].EventHandler
    own = [
        each for each in callbacks if isinstance(each, declared) or getattr(each, "__self__", None) is widget
    ]
    return own + [partial(_follow, each) for each in callbacks if _follower(each) is not None]


def _follower(callback: Any) -> Any:
    """What holds the parameter that ``pn.bind`` and the like made of a widget (panel 1.9 and 1.10)."""
    if getattr(callback, "__module__", "") != "panel.pane.ipywidget":
        return None
    cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True))
    return cells["ipy_inst"].cell_contents if "ipy_inst" in cells else None


def _follow(callback: Any, change: Any) -> None:
    from param.parameterized import discard_events

    with discard_events(_follower(callback)):
        callback(change)


# -- widgets that were made at run time ------------------------------------------------------------


def _make_missing(states: Mapping[str, Any]) -> None:
    """Widgets for states that the app's run did not make any for. Nothing of the app's listens to them."""
    made = [comm_id for comm_id in states if _make(comm_id, states, set())]
    if made:
        names = ", ".join(states[each]["state"].get("description") or each for each in made)
        log.warning("ipywidgets that were added at run time do not call Python any more: %s", names)


def _make(comm_id: str, states: Mapping[str, Any], under_way: set[str]) -> bool:
    """Whether there was none. Those that it refers to come first."""
    if comm_id in _widgets() or comm_id not in states or comm_id in under_way:
        return False
    state = states[comm_id]["state"]
    for other in _references(state):
        _make(other, states, {*under_way, comm_id})
    registry: Any = sys.modules["ipywidgets.widgets.widget"]._registry
    try:
        cls = registry.get(*(state.get(name) for name in _CLASS))
    except KeyError:
        return False  # its class was defined at run time, too
    cls(model_id=comm_id)
    return True


_CLASS = (
    "_model_module", "_model_module_version", "_model_name",
    "_view_module", "_view_module_version", "_view_name",
)  # fmt: skip


def _references(value: Any) -> Iterator[str]:
    match value:
        case str() if value.startswith(_REFERENCE):
            yield value.removeprefix(_REFERENCE)
        case dict():
            yield from chain.from_iterable(map(_references, value.values()))
        case list() | tuple():
            yield from chain.from_iterable(map(_references, value))
