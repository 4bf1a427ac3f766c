"""Everything the store raises.

::

    StoreError
    ├── StoreConfigError     the URL or an option makes no sense; retrying cannot help
    ├── StoreUnavailable     the store did not answer (yet); retrying may help
    │   └── StoreFull        it answered that it has no memory left for new data
    ├── RecordError          a record was written by an incompatible version, or is damaged
    └── StaleEpoch           the writer no longer owns the session; it must drop its copy
"""

from __future__ import annotations

__all__ = (
    "RecordError",
    "StaleEpoch",
    "StoreConfigError",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
)


class StoreError(Exception):
    """Root of all errors of this package."""


class StoreConfigError(StoreError):
    """The store cannot be used as configured."""


class StoreUnavailable(StoreError):
    """The store could not be reached, or did not answer in time."""


class StoreFull(StoreUnavailable):
    """The store refuses new data because its memory limit is reached."""


class RecordError(StoreError):
    """A stored record cannot be read by this version."""


class StaleEpoch(StoreError):
    """A write carried an epoch that is not the session's current one."""
