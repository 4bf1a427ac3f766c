"""What an app's values may raise while they are compared, read or written."""

from __future__ import annotations

import sys

__all__ = ("value_errors",)


def value_errors() -> tuple[type[BaseException], ...]:
    """For ``except``: exceptions, and the panics of polars (2.1), which are none.

    One comes, for example, from comparing columns of different lengths and some types.
    """
    polars = sys.modules.get("polars.exceptions")
    panic = getattr(polars, "PanicException", None)
    return (Exception, panic) if panic else (Exception,)
