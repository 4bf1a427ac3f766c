"""Every key this package writes: its family, its type, how long it lives, who writes it.

Keys are built here and nowhere else; scripts get them as ``KEYS``. What has to change together
shares a hash tag, so that a Redis Cluster keeps it in one slot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from store.errors import StoreConfigError

__all__ = ("FAMILIES", "Family", "Keys")

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of key."""

    pattern: str
    """With ``<name>`` for the parts that vary."""
    type: str
    """As Redis ``TYPE`` names it."""
    ttl: str
    """What makes it expire; ``none`` when nothing does."""
    slot: str
    """What its hash slot depends on."""
    writer: str

    def matches(self, key: str) -> bool:
        """Whether ``key`` belongs to this family."""
        parts = re.split(r"<\w+>", self.pattern)
        return re.fullmatch("[^{}]+".join(map(re.escape, parts)), key) is not None


# The order matters to whoever looks a key up: the first family that matches is the key's.
FAMILIES = (
    Family("<prefix>:{<tag>}:session", "hash", "stored, just claimed or ended: yes; live: none", "tag",
           "claim, seize, release, discard, end, park, keep, reassert, wake"),
    Family("<prefix>:{<tag>}:journal", "hash", "as the session's", "tag",
           "write_journals; claim, seize, release, discard, end, park, keep, reassert"),
    Family("<prefix>:{<tag>}:handoff:<token>", "string", "the token's first use", "tag", "put_handoff"),
    Family("<prefix>:{<tag>}:shared", "hash", "a month after use", "tag",
           "write_shared, restore_shared"),
    Family("<prefix>:{<tag>}:shared:names", "hash", "a month after use", "tag",
           "write_shared, restore_shared"),
    Family("<prefix>:{<tag>}:shared:versions", "zset", "a month after use", "tag",
           "write_shared, read_shared, restore_shared"),
    Family("<prefix>:{<tag>}:shared:expiry", "zset", "a month after use", "tag",
           "write_shared, read_shared, restore_shared"),
    Family("<prefix>:{<tag>}:shared:about", "hash", "a month after use", "tag",
           "write_shared, read_shared, restore_shared"),
    Family("<prefix>:{<tag>}:shared:calls", "zset", "ten seconds after the last", "tag", "write_shared"),
    Family("<prefix>:{<tag>}:messages", "stream", "a day after the last", "tag",
           "publish_message, restore_messages"),
    Family("<prefix>:{<tag>}:messages:about", "hash", "a month after the last", "tag",
           "publish_message, restore_messages"),
    Family("<prefix>:{<tag>}:messages:calls", "zset", "when none can be repeated", "tag", "publish_message"),
    Family("<prefix>:{<tag>}:results", "hash", "as its last result", "tag", "keep_result"),
    Family("<prefix>:{<tag>}:results:used", "zset", "as its results", "tag", "find_result, keep_result"),
    Family("<prefix>:{<tag>}:results:expiry", "zset", "as its results", "tag", "keep_result"),
    Family("<prefix>:{<tag>}:results:about", "hash", "a month after use", "tag",
           "find_result, keep_result, forget_results"),
    Family("<prefix>:{<tag>}:results:ids", "hash", "as its results", "tag", "keep_result"),
    Family("<prefix>:{<tag>}:results:lease:<field>", "string", "some seconds", "tag",
           "find_result, renew_result, give_up_result, forget_results"),
    Family("<prefix>:{<tag>}:task", "hash", "a week after it was last asked about", "tag",
           "begin_task, renew_task, end_task"),
    Family("<prefix>:{<tag>}:job:<id>", "hash", "its retention after it is over", "tag",
           "jobs: submit, begin, renew, end, cancel"),
    Family("<prefix>:{<tag>}:jobs:due", "zset", "as the last of the jobs", "tag", "jobs: as above"),
    Family("<prefix>:{<tag>}:jobs:kept", "zset", "as the last of the jobs", "tag", "jobs: as above"),
    Family("<prefix>:{<tag>}:jobs:sizes", "hash", "as the last of the jobs", "tag", "jobs: as above"),
    Family("<prefix>:jobs", "zset", "none; members removed by jobs: all", "key", "jobs: submit, all"),
    Family("<prefix>:tasks", "zset", "none; members removed by tasks", "key", "begin_task, tasks"),
    Family("<prefix>:replica:<id>:sessions", "set", "none; emptied by sweep", "key", "beat, retire, sweep"),
    Family("<prefix>:replica:<id>:drain", "string", "one minute", "key", "ask_to_drain"),
    Family("<prefix>:replica:<id>:end", "set", "one minute", "key", "ask_to_end"),
    Family("<prefix>:replica:<id>:asked", "hash", "one minute", "key", "ask_to_drain, ask_to_end"),
    Family("<prefix>:replica:<id>:work", "set", "ten minutes", "key", "announce, withdraw"),
    Family("<prefix>:building:<name>", "zset", "ten minutes", "key", "begin_build, end_build"),
    Family("<prefix>:parked", "zset", "none; members removed by parked", "key", "park, parked"),
    Family("<prefix>:replica:<id>", "string", "heartbeat", "key", "beat, retire"),
    Family("<prefix>:secret:<name>", "string", "none", "key", "agree_secret"),
    Family("<prefix>:tokens:<login>", "hash", "as long as its login; a lease alone: as the lease", "key",
           "put_tokens, lease_tokens, renew_tokens"),
    Family("<prefix>:replicas", "zset", "none; members removed by sweep", "key", "beat, retire, sweep"),
    Family("<prefix>:maintenance:ended_by", "string", "one minute", "key", "maintenance: end"),
    Family("<prefix>:maintenance", "hash", "none; fields removed by maintenance: end", "key",
           "maintenance: begin, end"),
    Family("<prefix>:unused", "zset", "none; members removed by sweep", "key", "sweep, retire"),
)  # fmt: skip


class Keys:
    """Builds keys under one prefix, so that several services can share a Redis."""

    def __init__(self, prefix: str = "svc") -> None:
        if not _PREFIX.fullmatch(prefix):
            raise StoreConfigError(
                "the key prefix must be 1 to 64 letters, digits or '_', '.', ':', '-'; for example svc"
            )
        self.prefix = prefix
        self.replicas = f"{prefix}:replicas"
        """Replica id -> last beat, in milliseconds by the store's clock."""
        self.unused = f"{prefix}:unused"
        """Session tag -> when its owner has been gone for too long, in milliseconds."""
        self.tasks = f"{prefix}:tasks"
        """Tag of a task -> when it was last asked about, in milliseconds."""
        self.jobs = f"{prefix}:jobs"
        """App that has jobs -> when one was last submitted, in milliseconds."""
        self.parked = f"{prefix}:parked"
        """Tag of a parked session -> when it was parked, in milliseconds."""
        self.maintenance_ended_by = f"{prefix}:maintenance:ended_by"
        self.maintenance = f"{prefix}:maintenance"
        """App that takes no new pages -> what its visitors are told."""

        self.wake_ups = f"{prefix}:messages"
        """The channel (no key) on which topics are named that somebody has just published on."""

    def session(self, tag: str) -> str:
        return f"{self.prefix}:{{{tag}}}:session"

    def journal(self, tag: str) -> str:
        return f"{self.prefix}:{{{tag}}}:journal"

    def record(self, tag: str) -> list[str]:
        """What the scripts on a session work on: its hash and its journal."""
        return [self.session(tag), self.journal(tag)]

    def shared(self, tag: str) -> list[str]:
        """What the scripts on shared values work on."""
        values = f"{self.prefix}:{{{tag}}}:shared"
        return [values, *(f"{values}:{part}" for part in ("versions", "expiry", "about", "calls", "names"))]

    def messages(self, tag: str) -> list[str]:
        """What the scripts on messages work on."""
        stream = f"{self.prefix}:{{{tag}}}:messages"
        return [stream, f"{stream}:about", f"{stream}:calls"]

    def results(self, tag: str, field: str) -> list[str]:
        """What the scripts on results work on."""
        results = f"{self.prefix}:{{{tag}}}:results"
        return [results, *(f"{results}:{part}" for part in ("used", "expiry", "about", "ids")),
                f"{results}:lease:{field}"]  # fmt: skip

    def task(self, tag: str) -> str:
        return f"{self.prefix}:{{{tag}}}:task"

    def jobs_of(self, tag: str, job: str) -> list[str]:
        """What the scripts on jobs work on, beside their statuses: its hash, and the lists of all of them."""
        return [
            f"{self.prefix}:{{{tag}}}:job:{job}",
            *(f"{self.prefix}:{{{tag}}}:jobs:{part}" for part in ("due", "kept", "sizes")),
        ]

    def drain(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}:drain"

    def end(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}:end"

    def asked(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}:asked"

    def work(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}:work"

    def building(self, name: str) -> str:
        return f"{self.prefix}:building:{blake2b(name.encode(), digest_size=8).hexdigest()}"

    def handoff(self, tag: str, token_id: str) -> str:
        return f"{self.prefix}:{{{tag}}}:handoff:{token_id}"

    def heartbeat(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}"

    def sessions(self, replica: str) -> str:
        return f"{self.prefix}:replica:{replica}:sessions"

    def secret(self, name: str) -> str:
        return f"{self.prefix}:secret:{name}"

    def tokens(self, login_tag: str) -> str:
        return f"{self.prefix}:tokens:{login_tag}"
