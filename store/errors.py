"""Everything the store raises.

::

    StoreError
    ├── StoreConfigError     the URL or an option makes no sense; retrying cannot help
    ├── StoreUnavailable     the store did not answer (yet); retrying may help
    │   └── StoreFull        it answered that it has no memory left for new data
    ├── RecordError          a record was written by an incompatible version, or is damaged
    │   └── RecordDamaged    nobody can read it with what was given: damaged, or encrypted with another secret
    └── StaleEpoch           the writer no longer owns the session; it must drop its copy
"""

from __future__ import annotations

__all__ = (
    "RecordDamaged",
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


class RecordDamaged(RecordError):
    """A stored record is damaged, was changed by somebody else, or is encrypted with another secret."""


class StaleEpoch(StoreError):
    """A write carried an epoch that is not the session's current one."""
