"""Our version, from the package's metadata."""

from __future__ import annotations

from importlib.metadata import version

__all__ = ("VERSION",)

VERSION = version("svc-bokeh")
