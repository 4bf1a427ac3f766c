"""How fast a fleet notices that somebody is gone, and for how long it waits for who is not. All in seconds.

They depend on each other, across packages: an owner has to beat before anybody takes it for gone, and who
holds a lease has to renew it before it runs out. tests/unit/test_timings.py says how they fit. What operators
can set is in :mod:`service.settings`; a wait that concerns one module alone is there.
"""

from __future__ import annotations

from typing import Final

__all__ = (
    "ADOPT_SECONDS",
    "ARRIVAL_SECONDS",
    "BEAT_INTERVAL_SECONDS",
    "CRASHED_REPLICA_SECONDS",
    "JOB_LEASE_SECONDS",
    "JOB_RENEW_SECONDS",
    "MAX_BEAT_GAP_SECONDS",
    "MIN_HEARTBEAT_TTL_SECONDS",
    "OWNER_POLL_SECONDS",
    "REPLICAS_FRESH_SECONDS",
    "RESULT_LEASE_SECONDS",
    "RESULT_RENEW_SECONDS",
    "SHARED_ALONE_INTERVAL_SECONDS",
    "SHARED_INTERVAL_SECONDS",
    "SILENT_REPLICA_SECONDS",
    "STUCK_SECONDS",
    "TASK_LEASE_SECONDS",
    "TASK_RENEW_SECONDS",
    "TOKENS_LEASE_SECONDS",
)

# -- a replica, by its heartbeat ---------------------------------------------------------------------

BEAT_INTERVAL_SECONDS: Final = 0.3
"""Between heartbeats: three in the time after which a silent owner counts as gone."""

MAX_BEAT_GAP_SECONDS: Final = 0.9
"""Between two heartbeats, after which the others may have taken this replica for gone."""

SILENT_REPLICA_SECONDS: Final = 1.0
"""Without an answer, or a heartbeat: sessions of the replica may be seized, and it is asked for nothing."""

CRASHED_REPLICA_SECONDS: Final = 3.0
"""Since the last heartbeat of a replica that was building a session, after which it counts as dead of that.

More than where sessions are taken from silent owners: an import may keep the heartbeat's thread waiting, and
who counts as dead here wrongly keeps the app from others.
"""

MIN_HEARTBEAT_TTL_SECONDS: Final = 1
"""The shortest ``--heartbeat-ttl``."""

OWNER_POLL_SECONDS: Final = 0.25
"""Between looks at the heartbeat of a silent owner, which ages from when it stopped."""

REPLICAS_FRESH_SECONDS: Final = 0.5
"""How old the list of replicas may be: many pages come back at once when a replica stops."""

# -- what apps share -----------------------------------------------------------------------------------

SHARED_INTERVAL_SECONDS: Final = 0.1
"""Between looks at what other replicas have changed, where apps share something."""

SHARED_ALONE_INTERVAL_SECONDS: Final = 1.0
"""The same without other replicas: only time changes anything from outside."""

# -- a session that leaves or moves ------------------------------------------------------------------

STUCK_SECONDS: Final = 5.0
"""How long a session that has to go waits for its own code to end, unless this replica drains."""

ARRIVAL_SECONDS: Final = 60.0
"""For how long a session that is released is retained at least: it needs the time to arrive elsewhere."""

ADOPT_SECONDS: Final = 60.0
"""How long a replica that is asked to take a session may take, which builds the session meanwhile."""

# -- leases in the store, and how often their holders renew them -------------------------------------

JOB_LEASE_SECONDS: Final = 15.0
"""After so long without a sign of its worker a job is another worker's."""

JOB_RENEW_SECONDS: Final = 1.0

TASK_LEASE_SECONDS: Final = 5.0
"""After so long without a sign of its runner a run is another replica's."""

TASK_RENEW_SECONDS: Final = 1.0

RESULT_LEASE_SECONDS: Final = 5.0
"""After so long without a sign of who computes a result, the next one does."""

RESULT_RENEW_SECONDS: Final = 1.0

TOKENS_LEASE_SECONDS: Final = 30.0
"""In which a provider has to answer; then another replica may refresh the user's tokens. Never renewed."""
