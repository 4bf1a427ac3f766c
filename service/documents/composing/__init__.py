"""Answering a pull from a session's record: the JSON of its Document, put together as data.

No app runs, no model is made, and no class of a model has to be there; so it takes a fraction of what
restoring takes, and a thread may do it. What a page gets is what the live Document would have sent it.
"""

from service.documents.composing.changes import changes_since
from service.documents.composing.compose import Composed, Reason, check, compose

__all__ = ("Composed", "Reason", "changes_since", "check", "compose")
