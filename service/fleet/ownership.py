"""The state machine that decides who serves a session. Pure: no I/O, no clock of its own.

A replica claims; if another owns the session it is dialled; if it is gone, refuses or stays
silent while its heartbeat has stopped too, the session is seized from it. One that answers and whose
heart beats is alive, whatever it answers: if it does not let us in, that is an error, no reason to seize.
Neither is what keeps this replica from dialling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from store.contract import Claim, Heartbeat, Outcome

__all__ = ("Dialled", "Ownership", "Step")


class Step(StrEnum):
    """What the caller has to do next."""

    CLAIM = "claim"
    """After a moment, when it comes from :meth:`Ownership.dialled`."""
    FIND_OWNER = "find owner"
    DIAL = "dial"
    KEEP_WAITING = "keep waiting"
    SEIZE = "seize"
    SERVE = "serve"
    RELAY = "relay"
    UNKNOWN = "unknown"
    PARKED = "parked"
    GIVE_UP = "give up"
    DENIED = "denied"
    """The owner lives and does not let this replica in: their secret keys differ."""
    UNREACHED = "unreached"
    """The owner lives, and this replica cannot dial it."""


class Dialled(StrEnum):
    """How an attempt to reach the owner went."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Nobody listens there."""
    DENIED = "denied"
    """Whoever listens there does not let us in: another process that has the address by now, or the owner."""
    UNREACHED = "unreached"
    """Nobody was asked: no descriptors are left here, its name is not found, no network leads there."""
    NOT_OWNER = "not owner"
    """It answers that it does not hold the session."""
    SILENT = "silent"
    """No answer yet."""


@dataclass(slots=True)
class Ownership:
    """One replica's way to one session.

    ``silence`` is how old (seconds) an owner's heartbeat must be for silence to mean that it is
    gone rather than busy: heartbeats go on while app code blocks the event loop, but not while
    the process is frozen or cut off. ``attempts`` bounds lost races.
    """

    silence: float
    attempts: int = 5
    step: Step = Step.CLAIM
    claim: Claim = field(default_factory=lambda: Claim(Outcome.UNKNOWN))
    seized: bool = False
    owner: Heartbeat | None = None
    obstacle: Dialled | None = None
    """Why dialling did not get through to an owner that may well live: DENIED or UNREACHED."""

    def claimed(self, claim: Claim) -> Step:
        """The store answered a claim, or a seizure."""
        self.obstacle = None
        self.seized = self.step is Step.SEIZE and claim.outcome is Outcome.OWN
        self.claim = claim
        match claim.outcome:
            case Outcome.OWN:
                return self._go(Step.SERVE)
            case Outcome.UNKNOWN if self.step is Step.SEIZE:
                # Its owner ended it a moment ago: only a claim may begin it anew.
                return self._go(Step.CLAIM)
            case Outcome.UNKNOWN:
                return self._go(Step.UNKNOWN)
            case Outcome.PARKED:
                return self._go(Step.PARKED)
            case Outcome.RELAY:
                if not self._is_draining():
                    self.attempts -= 1
                return self._go(Step.FIND_OWNER if self.attempts >= 0 else Step.GIVE_UP)

    def found(self, owner: Heartbeat | None) -> Step:
        """The store answered who the owner is."""
        self.owner = owner
        return self._go(Step.SEIZE if owner is None else Step.DIAL)

    def dialled(self, result: Dialled) -> Step:
        """The owner answered, or did not."""
        match result:
            case Dialled.ACCEPTED:
                return self._go(Step.RELAY)
            case Dialled.REFUSED if self._is_draining():
                return self._go(Step.CLAIM)
            case Dialled.REFUSED | Dialled.NOT_OWNER:
                return self._go(Step.SEIZE)
            case Dialled.DENIED | Dialled.UNREACHED:
                self.obstacle = result
                return self._go(Step.KEEP_WAITING)
            case Dialled.SILENT:
                return self._go(Step.KEEP_WAITING)

    def refused(self, owner: Heartbeat | None) -> Step:
        """Nobody listens at the owner's address. ``owner`` was read since: it may have begun to drain."""
        self.owner = owner
        return self.dialled(Dialled.REFUSED)

    def looked_again(self, owner: Heartbeat | None) -> Step:
        """The heartbeat of an owner was read again that has been silent, or was not got through to."""
        if owner is None or owner.age > self.silence:
            return self._go(Step.SEIZE)
        match self.obstacle:
            case Dialled.DENIED:
                return self._go(Step.DENIED)
            case Dialled.UNREACHED:
                return self._go(Step.UNREACHED)
            case _:
                return self._go(Step.KEEP_WAITING)

    def _is_draining(self) -> bool:
        """The owner takes no more connections because it moves its sessions away: soon this one, too.

        Seizing it would lose what the owner has not written yet.
        """
        owner = self.owner
        return owner is not None and owner.draining and owner.age <= self.silence

    def _go(self, step: Step) -> Step:
        self.step = step
        return step
