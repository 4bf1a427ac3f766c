"""Session callbacks of a Document whose changes are held back."""

from __future__ import annotations

from typing import Any

import pytest
from bokeh.document import Document
from bokeh.document.events import SessionCallbackAdded, SessionCallbackRemoved
from bokeh.models import Slider

from service.documents import scheduling


@pytest.mark.parametrize("policy", ["combine", "collect"])
def test_they_are_scheduled_at_once_and_once(policy: Any) -> None:
    scheduling.install()
    slider = Slider(start=0, end=10, value=0)
    document = Document()
    document.add_root(slider)
    seen: list[str] = []
    document.on_change(lambda event: seen.append(type(event).__name__))

    document.hold(policy)
    slider.value = 3
    callback = document.add_next_tick_callback(lambda: None)
    document.remove_next_tick_callback(callback)
    callbacks = [SessionCallbackAdded.__name__, SessionCallbackRemoved.__name__]
    assert seen == callbacks

    document.unhold()
    assert seen == [*callbacks, "ModelChangedEvent"]
