"""What load generators have to know of BokehJS 3.9, and nothing of Bokeh's models."""

from __future__ import annotations

__all__ = ("RECONNECT_DELAYS",)

RECONNECT_DELAYS = (0, 2, 4, 8, 16)
"""Seconds it waits before each attempt to get a lost connection back; after the last it gives up."""
