"""Doing the same thing by Bokeh's own ways and by our shortcuts, and comparing what came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.core.json_encoder import serialize_json
from bokeh.core.property.wrappers import PropertyValueContainer
from bokeh.core.serialization import Buffer, Serializer

from service.documents import curdoc, ids, shortcuts
from service.documents.ids import IdSpace

ids.install()
curdoc.install()


def both(make: Callable[[], Any]) -> tuple[Any, Any]:
    """What ``make`` gives by Bokeh's own ways, and by ours; each with the same model ids."""
    results = []
    for prepare in (shortcuts.remove, shortcuts.install):
        prepare()
        token = ids.current_ids.set(IdSpace("the same"))
        try:
            results.append(make())
        finally:
            ids.current_ids.reset(token)
            shortcuts.remove()
    return results[0], results[1]


def outcome(func: Callable[[], Any]) -> Any:
    """What ``func`` returns, or how it fails."""
    try:
        return func()
    except Exception as error:  # noqa: BLE001 - its type and text are what is compared
        return type(error), str(error)


def state(model: HasProps) -> dict[str, Any]:
    """Everything a model holds, comparable between two models of different making.

    Each property is read once, because a shortcut makes empty containers only then.
    """
    for name in model.properties():
        outcome(partial(getattr, model, name))
    held = {
        name: {key: comparable(value) for key, value in sorted(vars(model)[name].items())}
        for name in ("_property_values", "_unstable_default_values", "_unstable_themed_values")
    }
    return {**held, "initialized": model._initialized, "themed": vars(model).get("__themed_values__")}


def comparable(value: Any) -> Any:
    if isinstance(value, HasProps):
        return type(value), getattr(value, "id", None)
    owners = len(value._owners) if isinstance(value, PropertyValueContainer) else None
    return type(value), repr(value), owners


def json_of(value: Any) -> tuple[str, list[bytes]]:
    serializer = Serializer()
    return numbered(serialize_json(serializer.encode(value)), serializer.buffers)


def numbered(text: str, buffers: list[Buffer]) -> tuple[str, list[bytes]]:
    """Buffer ids are counted per process: here they are counted per text."""
    for number, buffer in enumerate(buffers):
        text = text.replace(f'"{buffer.id}"', f'"buffer {number}"')
    return text, [buffer.to_bytes() for buffer in buffers]
