"""Exit codes of our processes, by which supervisors, scripts and the parent of ``--num-procs`` decide."""

from __future__ import annotations

from typing import Final

__all__ = ("FAILURE", "INTERRUPTED", "STUCK", "SUCCESS", "USAGE")

SUCCESS: Final = 0
"""Also of a server or worker that was told to stop, and has."""

FAILURE: Final = 1
"""The command did not do what it was asked, or has found problems."""

STUCK: Final = 1
"""A job does not stop: whoever started the worker should start another. As any other failure."""

USAGE: Final = 2
"""The command cannot be carried out as given; trying again without a change cannot help."""

INTERRUPTED: Final = 130
"""By Ctrl-C, as shells have it: 128 and the number of SIGINT."""
