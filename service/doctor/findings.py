"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ("Finding", "Level", "fine", "problem", "warning")


class Level(StrEnum):
    """How bad it is."""

    FINE = "ok"
    WARNING = "warning"
    """It works, but not as well or as safely as it could, or this check could not look further."""
    PROBLEM = "problem"
    """Users will be hurt."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    about: str
    """What was looked at, in a word or two."""
    level: Level
    says: str
    """What was seen."""
    advice: str = ""
    """What to do about it; empty where nothing has to be done."""


def fine(about: str, says: str) -> Finding:
    return Finding(about, Level.FINE, says)


def warning(about: str, says: str, advice: str) -> Finding:
    return Finding(about, Level.WARNING, says, advice)


def problem(about: str, says: str, advice: str) -> Finding:
    return Finding(about, Level.PROBLEM, says, advice)
