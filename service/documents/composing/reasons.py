"""Why a pull cannot be answered from a record."""

from __future__ import annotations

from enum import StrEnum

__all__ = ("Reason",)


class Reason(StrEnum):
    """What :class:`service.errors.NotComposable` says besides its message."""

    UNSEEN = "unseen"
    """There is no record, or no page has pulled the Document yet."""
    CODE = "code"
    """The app's code is of another version."""
    VERSIONS = "versions"
    """Bokeh, or an extension of it, is of another version."""
    RELEASE = "release"
    """Another release of this server wrote it: something is missing, or has a kind that is not known here."""
    DAMAGED = "damaged"
    """It cannot be read, or does not fit together."""
    RENEWED = "renewed"
    """Restoring makes new models for a part of it."""
    VALUE = "value"
    """It has a value that could not be written, or that cannot be read or sent here."""
