"""Shorter ways to results that Bokeh's property system computes over and over.

A shortcut takes the place of one function of Bokeh, gives the very same results, and is put in
only while that function's source is the one it was written for: another Bokeh runs at its own
speed, but never wrong. The tests compare each with Bokeh's own, and fail when Bokeh has changed.
"""

from service.documents.shortcuts.table import SHORTCUTS, Shortcut, install, outdated, patch_serializer, remove

__all__ = ("SHORTCUTS", "Shortcut", "install", "outdated", "patch_serializer", "remove")
