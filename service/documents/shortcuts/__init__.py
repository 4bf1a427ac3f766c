"""Shorter ways to results that Bokeh's property system computes over and over.

A shortcut takes the place of one function of Bokeh and gives the very same results. Shortcuts come in groups;
a group is put in only while the functions it replaces or relies on are those it was written for: where Bokeh
has changed one of them, that part runs at Bokeh's own speed, but never wrong. The tests compare each group
with Bokeh's own functions, and fail when Bokeh has changed.
"""

from service.documents.shortcuts.table import (
    GROUPS,
    Group,
    install,
    installed,
    patch_serializer,
    remove,
    replaced,
)

__all__ = ("GROUPS", "Group", "install", "installed", "patch_serializer", "remove", "replaced")
