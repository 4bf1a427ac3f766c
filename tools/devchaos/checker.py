"""Judges what visitors went through: nothing that was acknowledged is missing, nothing came from nowhere.

In the style of Jepsen: the visitors only log, Redis' own record says who owned what, and all judgement is
here. A change is *due* in what a visitor sees after a move when it was acknowledged long enough before the
drop: always with `--durability sync`, an interval (and the time a write takes) before it otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devchaos.owners import Owners
from devchaos.seen import Seen
from devchaos.visitor import Change, Log

__all__ = ("Verdict", "judge", "runs_of")


@dataclass
class Verdict:
    """What came of it. `problems` is empty when everything holds."""

    sessions: int = 0
    changes: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    moves: int = 0
    late: int = 0
    """Acknowledged changes within the last interval before a move that are missing: allowed, not nice."""
    retried: int = 0
    """Moves for which the first attempt to reconnect did not do."""
    refused: int = 0
    times: list[float] = field(default_factory=list)
    """Seconds of each move, from the drop of the socket to the Document pulled."""
    problems: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        return max(self.times, default=0.0)

    def percentile(self, share: float) -> float:
        """The time within which that share (0 to 1) of the moves was over."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions, {self.acknowledged} of {self.changes} changes acknowledged, "
            f"{self.moves} moves ({self.retried} not at once), {self.late} late changes lost, "
            f"back p50 {self.percentile(0.5):.2f} s, p99 {self.percentile(0.99):.2f} s, "
            f"slowest {self.slowest:.2f} s; {len(self.problems)} problems"
        )


def judge(
    logs: Iterable[Log],
    *,
    interval: float | None,
    owners: Owners | None = None,
    runs: Mapping[str, int] | None = None,
) -> Verdict:
    """The verdict on these logs.

    `interval` is how many seconds before a drop a change may still be lost; None for none (`sync`).
    `runs` says how often the app ran per session id: at most once for each epoch.
    """
    verdict = Verdict()
    for log in logs:
        _judge_log(log, interval, verdict)
    if owners is not None:
        verdict.problems += owners.problems()
        if runs is not None:
            _judge_runs(owners.epochs(), runs, verdict)
    return verdict


def runs_of(path: Path) -> Counter[str]:
    """Session id to how often the app ran for it, from what the apps noted."""
    return Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()


def _judge_log(log: Log, interval: float | None, verdict: Verdict) -> None:
    name = log.session_id[:8]
    verdict.sessions += 1
    verdict.changes += len(log.changes)
    verdict.acknowledged += sum(1 for each in log.changes if each.acked is not None)
    verdict.unanswered += sum(1 for each in log.changes if each.acked is None)
    verdict.moves += len(log.moves)
    verdict.refused += log.refused
    verdict.retried += sum(1 for move in log.moves if move.attempts > 1)
    verdict.times += [move.back - move.dropped for move in log.moves]
    if log.failure:
        verdict.problems.append(f"{name}: {log.failure}")
    if log.first is None:
        verdict.problems.append(f"{name}: never saw its Document")
        return
    _judge_looks(log, log.first, interval, verdict, name)


def _judge_looks(log: Log, first: Seen, interval: float | None, verdict: Verdict, name: str) -> None:
    """Go through the log: what one look showed is where the changes after it begin."""
    known, done = _known(first, 0.0), 0
    for number, move in enumerate(log.moves, 1):
        grace = None if interval is None else move.dropped - interval
        window = known + log.changes[done : move.changes]
        _judge_look(f"{name} after move {number}", window, move.seen, grace, first, verdict)
        known, done = _known(move.seen, move.back) + _pending(log.changes[: move.changes]), move.changes
    if log.last is not None and not log.failure:
        _judge_look(f"{name} at the end", known + log.changes[done:], log.last, None, first, verdict)


def _known(seen: Seen, at: float) -> list[Change]:
    """What was seen is as good as acknowledged at that time."""
    return [Change(kind, number, at, at) for kind, number in _numbers(seen)]


def _numbers(seen: Seen) -> tuple[tuple[str, int], ...]:
    return ("slider", seen.slider), ("click", seen.clicks), ("cell", seen.cell)


def _pending(changes: list[Change]) -> list[Change]:
    """Those that were never answered, and may yet count: a relay is late, or their session wakes up."""
    return [each for each in changes if each.acked is None]


def _judge_look(
    where: str, changes: list[Change], seen: Seen, grace: float | None, first: Seen, verdict: Verdict
) -> None:
    """`grace`: acknowledged changes after that time may be missing; None: none may."""
    if seen.contradiction:
        verdict.problems.append(f"{where}: {seen.contradiction}")
    if seen.noise != first.noise:
        verdict.problems.append(f"{where}: the random data is not what the user saw at first")
    for kind, now in _numbers(seen):
        of_kind = [each for each in changes if each.kind == kind]
        _judge_kind(f"{where}: {kind}", of_kind, now, grace, verdict)


def _judge_kind(what: str, changes: list[Change], now: int, grace: float | None, verdict: Verdict) -> None:
    most = max(each.number for each in changes)
    doubtful = sum(1 for each in changes if each.kind == "click" and each.acked is None)
    if now > most + doubtful:
        verdict.problems.append(f"{what} is {now}, but nothing beyond {most} was sent")
    missing = [each for each in changes if each.acked is not None and each.number > now]
    due = [each for each in missing if grace is None or (each.acked or 0) < grace]
    verdict.late += len(missing) - len(due)
    if due:
        age = "" if grace is None else f", {grace - (due[0].acked or 0):.3f} s longer ago than allowed"
        verdict.problems.append(f"{what} is {now}, but {due[-1].number} was acknowledged{age}")


def _judge_runs(epochs: Mapping[str, int], runs: Mapping[str, int], verdict: Verdict) -> None:
    for session_id, count in runs.items():
        allowed = epochs.get(session_id, 0)
        if count > allowed:
            verdict.problems.append(f"{session_id[:8]}: the app ran {count} times in {allowed} epochs")
