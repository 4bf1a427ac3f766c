"""Everything a replica measures, in one place, and the only module that knows prometheus-client.

A :class:`Metrics` is made once by the composition root and handed down; parts that work for one app
get that app's :class:`AppMeter`, whose labels are bound already, so that counting costs about a
microsecond. No label ever holds a session id or anything else a visitor chooses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.errors import NotAuthorized

__all__ = (
    "CLAIM_OUTCOMES",
    "CONTENT_TYPE",
    "AppMeter",
    "FleetMeter",
    "Metrics",
    "Reading",
    "SharedMeter",
    "TaskMeter",
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CLAIM_OUTCOMES = (
    "own", "relay", "seize", "denied", "unreached", "restore_exact", "restore_partial", "restore_fresh"
)  # fmt: skip
"""How a page or socket found its session. A restore counts besides the own or seize it followed."""

PARK_REASONS = ("deaths", "memory")

MAX_FUNCTIONS = 200
"""That have metrics of their own."""

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LONG = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge as it is now: a value per tuple of label values."""

    name: str
    text: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


class Durations:
    """A histogram of seconds in plain numbers, for what comes with each message. On the event loop only."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(FAST) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(FAST, seconds)] += 1
        self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        counts = accumulate(self._counts)
        limits = (*map(str, FAST), "+Inf")
        buckets = [(limit, float(count)) for limit, count in zip(limits, counts, strict=True)]
        family.add_metric(labels, buckets, self._sum)


class AppMeter:
    """What is counted per app, for one app. Messages are counted in plain numbers, on the loop's thread."""

    def __init__(self, metrics: Metrics, app: str) -> None:
        self.patches_in = self.patches_out = 0
        self.bytes_in = self.bytes_out = 0
        self.errors = 0
        """What code of the app has raised so far: builds and callbacks."""
        self.opens = metrics.opens.labels(app)
        self._failures = metrics.app_failures.labels(app)
        self.shed = metrics.shed.labels(app)
        self.maintenance_pages = metrics.maintenance_pages.labels(app)
        self._parked = {reason: metrics.parked.labels(app, reason) for reason in PARK_REASONS}
        self.run_seconds = metrics.run_seconds.labels(app)
        self.restore_seconds = metrics.restore_seconds.labels(app)
        self.callback_seconds = Durations()
        """Of work under a session's lock: patches and callbacks."""
        self._callback_failures = metrics.callback_failures.labels(app)
        self.slow_callbacks = metrics.slow_callbacks.labels(app)
        self.build_timeouts = metrics.build_timeouts.labels(app)
        self.callbacks_lost = metrics.callbacks_lost.labels(app)
        self.queue_seconds = Durations()
        """For which app code waited for a thread."""

    def callback_failed(self) -> None:
        """A callback of a timer or of an input has raised."""
        self._callback_failures.inc()
        self.errors += 1

    def parked(self, reason: str) -> None:
        """A session was set aside."""
        self._parked[reason].inc()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around one run of the app's code that builds a Document. To refuse a user is no failure."""
        with self.run_seconds.time():
            try:
                yield
            except BaseException as error:
                if not isinstance(error, NotAuthorized) or error.__cause__ is not None:
                    self._failures.inc()
                    self.errors += 1
                raise


class ResultMeter:
    """What is counted of one function whose results the fleet shares. On any thread."""

    def __init__(self, meter: FleetMeter, app: str, function: str) -> None:
        self.hits, self._misses, self._failures = (
            meter.lookups.labels(app, function, result) for result in ("hit", "miss", "failed")
        )
        self._evictions = meter.evictions.labels(app, function)
        self._bytes = meter.bytes.labels(app, function)
        self._seconds = meter.compute_seconds.labels(app, function)

    def kept(self, bytes_: int, evicted: int) -> None:
        """``bytes_``: what all results of the function have by now."""
        self._bytes.set(bytes_)
        if evicted:
            self._evictions.inc(evicted)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around one run of the function."""
        with self._seconds.time():
            try:
                yield
            except BaseException:
                self._failures.inc()
                raise
        self._misses.inc()


class TaskMeter:
    """What is counted of one task that the fleet runs on one replica at a time."""

    def __init__(self, meter: FleetMeter, app: str, task: str) -> None:
        self.ok, self.failed, self.lost = (
            meter.runs.labels(app, task, outcome) for outcome in ("ok", "failed", "lost")
        )
        self.seconds = meter.run_seconds.labels(app, task)
        self.missed = meter.missed.labels(app, task)


class SharedMeter:
    """What is counted of an app's shared dicts, in plain numbers: a read takes a few microseconds.

    Two threads that read at once may count as one.
    """

    __slots__ = ("conflicts", "reads", "writes")

    def __init__(self) -> None:
        self.reads = self.writes = self.conflicts = 0


class FleetMeter:
    """What is counted of what apps share with other replicas; in a registry of its own if none is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        labels = ("app", "function")
        self.lookups = Counter(
            "svc_cache_lookups", "Calls of functions that the fleet computes once.", (*labels, "result"),
            registry=registry,
        )  # fmt: skip
        self.evictions = Counter(
            "svc_cache_evictions", "Results that had to go for others (max_bytes).", labels, registry=registry
        )
        self.bytes = Gauge(
            "svc_cache_bytes", "Results of a function in the store when this replica wrote one last.", labels,
            registry=registry,
        )  # fmt: skip
        self.compute_seconds = Histogram(
            "svc_cache_compute_seconds", "Computing results here.", labels, registry=registry, buckets=SLOW
        )
        task = ("app", "task")
        self.runs = Counter(
            "svc_task_runs", "Runs of tasks here: whether they have raised, or another replica took over.",
            (*task, "outcome"), registry=registry,
        )  # fmt: skip
        self.run_seconds = Histogram(
            "svc_task_seconds", "Runs of tasks here.", task, registry=registry, buckets=SLOW
        )
        self.missed = Counter(
            "svc_task_missed_runs", "Due times that no replica has run, seen by the one that went on.", task,
            registry=registry,
        )  # fmt: skip
        self._results: dict[tuple[str, str], ResultMeter] = {}
        self._tasks: dict[tuple[str, str], TaskMeter] = {}
        self._shared: dict[str, SharedMeter] = {}
        registry.register(_Shared(self._shared))

    def results(self, app: str, function: str) -> ResultMeter:
        """On any thread. Of very many functions the last ones have one meter together."""
        found = self._results.get((app, function))
        if found is None:
            if len(self._results) >= MAX_FUNCTIONS:
                app, function = "", "others"
            found = self._results.setdefault((app, function), ResultMeter(self, app, function))
        return found

    def task(self, app: str, task: str) -> TaskMeter:
        """On any thread. An app has 100 at most."""
        return self._tasks.setdefault((app, task), TaskMeter(self, app, task))

    def shared(self, app: str) -> SharedMeter:
        """On any thread."""
        return self._shared.setdefault(app, SharedMeter())


class Metrics:
    """The families of one replica, in a registry of its own (so tests can have several)."""

    def __init__(self, *, version: str = "") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._apps: dict[str, AppMeter] = {}
        self._sessions()
        self._work()
        self._fleet()
        self._durability()
        self.fleet = FleetMeter(self.registry)
        self._jobs()
        self.shortcuts = self._gauge(
            "shortcuts", "1 where a group of shortcuts is in, 0 where Bokeh's own functions run", ("group",)
        )
        self._gauge("build", "Always 1; the version is in the label", ("version",)).labels(version).set(1)

    def app(self, path: str) -> AppMeter:
        """The meter of one app: made at its first use, its series are there from then on."""
        if path not in self._apps:
            self._apps[path] = AppMeter(self, path)
        return self._apps[path]

    def watch(self, look: Callable[[], Iterable[Reading]]) -> None:
        """Register gauges whose values ``look`` gives whenever somebody asks."""
        self.registry.register(_Watched(look))

    def render(self) -> bytes:
        """The exposition text."""
        return bytes(generate_latest(self.registry))

    @contextmanager
    def restoring(self, app: str) -> Iterator[None]:
        """Around one restore of a session; :attr:`claims` gets its outcome from the caller."""
        with self.app(app).restore_seconds.time():
            yield

    def store_attempt(self, seconds: float, error: str | None) -> None:
        """One attempt at a request to the store; ``error`` is the kind of failure. On any thread."""
        self.store_seconds.observe(seconds)
        if error is not None:
            self.store_errors.labels(error).inc()

    # -- families ------------------------------------------------------------------------------

    def _sessions(self) -> None:
        self.opens = self._counter("session_opens", "Sessions that began to live here", ("app",))
        self.ends = self._counter("session_ends", "Sessions that ended here", ("reason",))
        self.claims = self._counter("claims", "How pages and sockets found their session", ("outcome",))
        for outcome in CLAIM_OUTCOMES:
            self.claims.labels(outcome)
        for reason in ("unused", "moved", "lost", "ended", "given_up"):
            self.ends.labels(reason)
        self.composed = self._counter(
            "composed_pulls",
            "Pulls of sessions that sleep: shown from the store, or why the app had to run first",
            ("result",),
        )
        self.composed.labels("shown")
        self.relays = self._gauge("relays", "Sockets this replica passes on to a session's owner")
        self.parked = self._counter(
            "parked_sessions",
            "Sessions set aside: replicas died with them, or they outgrew their share of memory",
            ("app", "reason"),
        )
        self.shed = self._counter("shed_pages", "Page views refused because this replica is full", ("app",))
        self.maintenance_pages = self._counter(
            "maintenance_pages", "Page views refused because an operator lets no new sessions begin", ("app",)
        )

    def _work(self) -> None:
        app = ("app",)
        self.run_seconds = self._histogram("app_run_seconds", "Running an app to build a Document", app, SLOW)
        self.restore_seconds = self._histogram("restore_seconds", "Restoring a session", app, SLOW)
        self.app_failures = self._counter("app_failures", "Apps that raised while they were run", app)
        self.callback_failures = self._counter(
            "callback_failures", "Callbacks that raised, of timers and of inputs", app
        )
        self.slow_callbacks = self._counter(
            "slow_callbacks", "Code of apps that ran for --slow-callback seconds or more at a stretch", app
        )
        self.build_timeouts = self._counter(
            "build_timeouts", "Pages that an app was not waited for any more for (--build-timeout)", app
        )
        self.registry.register(_Messages(self._apps))
        self.http_seconds = self._histogram("http_request_seconds", "Answering HTTP, sockets not counted",
                                            ("route", "code"), SLOW)  # fmt: skip
        self.accept_pauses = self._counter("accept_pauses", "Times that no file descriptor was left")
        self.lag_seconds = self._histogram("event_loop_lag_seconds", "How late a timer fires", (), FAST)

    def _fleet(self) -> None:
        self.store_seconds = self._histogram("store_request_seconds", "One attempt at the store", (), FAST)
        self.store_errors = self._counter("store_errors", "Attempts at the store that failed", ("kind",))
        for kind in ("away", "other"):
            self.store_errors.labels(kind)
        app = ("app",)
        self.messages_published = self._counter("messages_published", "Messages published here", app)
        self.messages_delivered = self._counter(
            "messages_delivered", "Messages that sessions here were told of, each session counted", app
        )
        self.messages_missed = self._counter(
            "messages_missed",
            "Messages that sessions here subscribed to and that were not kept for them",
            app,
        )
        self.drain_remaining = self._gauge("drain_remaining_sessions", "Sessions a drain still has to move")
        self.drain_moved = self._counter("drain_moved_sessions", "Sessions a drain has given up cleanly")
        self.drain_failed = self._counter("drain_failed_sessions", "Sessions a drain could not save in time")
        self.drain_seconds = self._gauge("drain_seconds", "How long the drain has taken so far")

    def _durability(self) -> None:
        self.journal_bytes = self._counter("journal_bytes", "Bytes of changes written to the store")
        self.journal_writes = self._counter("journal_writes", "Batches of changes written to the store")
        self.journal_errors = self._counter("journal_errors", "Batches of changes the store did not take")
        self.journal_seconds = self._histogram("journal_write_seconds", "Writing one batch", (), FAST)
        self.journal_over_budget = self._counter(
            "journal_over_budget_sessions", "Sessions that grew too big to be durable (--journal-max-bytes)"
        )
        self.values_lost = self._counter(
            "lost_values", "Values and columns that could not be journaled, or read back", ("when",)
        )
        for when in ("written", "read"):
            self.values_lost.labels(when)
        self.callbacks_lost = self._counter(
            "lost_callbacks", "Python callbacks made at run time that a move did not bring back", ("app",)
        )
        self.hibernations = self._counter("hibernations", "Sessions that went to sleep", ("reason",))
        for reason in ("idle", "memory"):
            self.hibernations.labels(reason)
        self.memory_high = self._gauge("memory_high_bytes", "Where sessions begin to sleep, 0 for never")
        self.memory_short = self._gauge(
            "memory_short", "1 while memory is above that although sessions that can sleep do"
        )
        self.fenced = self._counter("fenced_writes", "Writes refused: another replica owns the session")

    def _jobs(self) -> None:
        app = ("app",)
        self.jobs_unfinished = self._gauge(
            "unfinished_jobs", "Jobs of the whole fleet that are queued or run, as last seen here", app
        )
        self.jobs_running = self._gauge("running_jobs", "Jobs that run here")
        self.job_seconds = self._histogram("job_seconds", "One attempt at a job", app, LONG)
        self.job_ends = self._counter("job_ends", "Attempts at jobs that have ended here", ("app", "outcome"))
        self.job_retries = self._counter("job_retries", "Attempts at jobs that were begun before", app)

    def job_ended(self, app: str, outcome: str, seconds: float) -> None:
        """On any thread."""
        self.job_ends.labels(app, outcome).inc()
        self.job_seconds.labels(app).observe(seconds)

    def job_begun_again(self, app: str) -> None:
        self.job_retries.labels(app).inc()

    def jobs_run(self, number: int) -> None:
        self.jobs_running.set(number)

    def jobs_seen(self, app: str, unfinished: int) -> None:
        self.jobs_unfinished.labels(app).set(unfinished)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"svc_{name}", text + ".", labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"svc_{name}", text + ".", labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"svc_{name}", text + ".", labels, registry=self.registry, buckets=buckets)


class _Messages(Collector):
    """What the meters of all apps have counted of messages."""

    def __init__(self, meters: Mapping[str, AppMeter]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        labels = ("app", "direction")
        patches = CounterMetricFamily(
            "svc_patches", "Document patches, in from and out to clients.", labels=labels
        )
        size = CounterMetricFamily("svc_message_bytes", "Bytes of Bokeh's protocol.", labels=labels)
        callbacks = HistogramMetricFamily(
            "svc_callback_seconds", "Work under a session's lock: patches and callbacks.", labels=("app",)
        )
        queue = HistogramMetricFamily(
            "svc_app_queue_seconds", "How long app code waited for a thread (--app-threads).", labels=("app",)
        )
        for app, meter in self._meters.items():
            patches.add_metric((app, "in"), meter.patches_in)
            patches.add_metric((app, "out"), meter.patches_out)
            size.add_metric((app, "in"), meter.bytes_in)
            size.add_metric((app, "out"), meter.bytes_out)
            meter.callback_seconds.add_to(callbacks, (app,))
            meter.queue_seconds.add_to(queue, (app,))
        yield from (patches, size, callbacks, queue)


class _Shared(Collector):
    """What has become of all apps' shared dicts."""

    def __init__(self, meters: dict[str, SharedMeter]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        texts = {
            "reads": "Reads of shared dicts",
            "writes": "Writes of shared dicts, refused ones included",
            "conflicts": "Writes of shared dicts that found another value than they expected",
        }
        for name, text in texts.items():
            family = CounterMetricFamily(f"svc_shared_{name}", f"{text}.", labels=("app",))
            for app, meter in self._meters.copy().items():
                family.add_metric((app,), getattr(meter, name))
            yield family


class _Watched(Collector):
    """Gauges whose values are looked up at each scrape."""

    def __init__(self, look: Callable[[], Iterable[Reading]]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        for reading in self._look():
            family = GaugeMetricFamily(f"svc_{reading.name}", reading.text + ".", labels=reading.labels)
            for labels, value in reading.values.items():
                family.add_metric(labels, value)
            yield family

    def describe(self) -> list[Metric]:
        return []  # what is looked at may not be there yet when this is registered
