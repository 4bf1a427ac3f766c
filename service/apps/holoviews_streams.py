"""What HoloViews' streams (1.22, 1.23) have heard of events: where a user tapped, or drew a box.

No property of a model has that, so it is kept beside the models. Streams that follow properties, such as
selections, hear of those again when inputs are replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.apps.when_imported import imported
from service.documents.identical import identical
from service.documents.values import ValueReader, write_value

__all__ = ("figures_of", "heard_by", "is_plot", "read_streams", "stream_values")


def is_plot(viewable: Any) -> bool:
    """Whether it is Panel's (1.9 and 1.10) pane for what HoloViews draws."""
    module = imported("panel.pane.holoviews")
    return module is not None and isinstance(viewable, module.HoloViews)


def figures_of(pane: Any, ref: str) -> set[str]:
    """Ids of the figures whose events the streams hear."""
    return {each.plot.state.id for each in _callbacks(pane, ref)}


def heard_by(callback: object) -> object:
    """What the streams have heard by this callback of a figure; None for one that is not HoloViews'."""
    module = imported("holoviews.plotting.bokeh.callbacks")
    owner: Any = getattr(callback, "__self__", None)
    if module is None or not isinstance(owner, module.Callback):
        return None
    return repr([each.contents for each in owner.streams])


def read_streams(pane: Any, ref: str) -> list[Any]:
    """Of each stream of the pane its class and values, encoded; nothing while none has heard anything."""
    found = [[type(stream).__name__, dict(_told(stream))] for stream in _streams(pane, ref)]
    return found if any(values for _, values in found) else []


def stream_values(pane: Any, ref: str, kept: list[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The streams with what they had heard; none where the app has other ones by now."""
    streams = _streams(pane, ref)
    if [type(each).__name__ for each in streams] == [name for name, _ in kept]:
        for stream, (_, encoded) in zip(streams, kept, strict=True):
            yield stream, {name: ValueReader(()).decode(value) for name, value in encoded.items()}


def _told(stream: Any) -> Iterator[tuple[str, Any]]:
    for name, value in stream.param.values().items():
        if name != "name" and not identical(value, stream.param[name].default):
            encoded, losses = write_value(value)
            if not losses:
                yield name, encoded


def _streams(pane: Any, ref: str) -> list[Any]:
    found = (each for callback in _callbacks(pane, ref) for each in callback.streams)
    return list({id(each): each for each in found if not each.transient}.values())


def _callbacks(pane: Any, ref: str) -> list[Any]:
    plot, _ = pane._plots.get(ref, (None, None))
    if plot is None or not hasattr(plot, "traverse"):
        return []
    found: list[list[Any]] = plot.traverse(lambda each: getattr(each, "callbacks", None) or [])
    return [callback for each in found for callback in each if callback.on_events]
