"""Session callbacks are scheduled at once, also while changes of the Document are held back.

Bokeh (3.9 and 3.10) keeps the news of them with the changes. What a thread schedules there while the event
loop hands on what was held is lost, as there is no lock between the two; Panel holds with each update.
"""

from __future__ import annotations

from bokeh.document.callbacks import DocumentCallbackManager
from bokeh.document.events import DocumentChangedEvent, SessionCallbackAdded, SessionCallbackRemoved

__all__ = ("install",)

bokeh_trigger_on_change = DocumentCallbackManager.trigger_on_change


def install() -> None:
    """Idempotent."""
    DocumentCallbackManager.trigger_on_change = trigger_on_change  # type: ignore[method-assign]


def trigger_on_change(self: DocumentCallbackManager, event: DocumentChangedEvent) -> None:
    if self._hold is None or not isinstance(event, SessionCallbackAdded | SessionCallbackRemoved):
        bokeh_trigger_on_change(self, event)
        return
    for receive in self.change_callbacks():
        receive(event)
