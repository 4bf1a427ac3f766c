"""The life of a session on this replica, from its claim to its end, as tables.

Pure: no I/O, no clock, no asyncio. All rules that affect the state are in this file, and nobody else changes
it. Whoever drives a life (:mod:`service.sessions.registry`, :mod:`service.sessions.departures`) says what
happened, and does what is answered.

What the tables do not say: how long anything takes, and how far the Document of a session is that leaves or
falls asleep. It is taken apart when its lock is free, and code that waits for the lock until then still runs.

The diagram in docs/architecture.md is made from ``TRANSITIONS``, the table below it from ``DEPARTURES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.close_codes import (
    APP_CHANGED,
    SESSION_ELSEWHERE,
    SESSION_ENDED,
    SESSION_MOVES,
    SESSION_PARKED,
    Close,
)

__all__ = (
    "DEPARTURES",
    "HELD",
    "TRANSITIONS",
    "Action",
    "Closing",
    "Departure",
    "Event",
    "Forbidden",
    "Life",
    "Reason",
    "State",
    "StoreOperation",
)  # fmt: skip


class State(StrEnum):
    """Where a session is in its life here."""

    CLAIMING = "claiming"
    """The store is asked whose the session is. Nothing of it is here yet."""
    BUILDING = "building"
    """It is this replica's; the app runs, and the journal is laid over what it makes."""
    LIVE = "live"
    """There is a Document."""
    ASLEEP = "asleep"
    """Its record is in the store, its clients are connected, and there is no Document."""
    WAKING = "waking"
    """As building, for clients who wait; if it fails they can try again."""
    LEAVING = "leaving"
    """For a reason. Who looks for the session waits until it is gone."""
    GONE = "gone"


class Event(StrEnum):
    """What can happen to a session."""

    GRANTED = "granted"
    """The store says that the session is this replica's."""
    REFUSED = "refused"
    """It is another's, there is none, or the store does not answer."""
    BUILT = "built"
    FAILED = "failed"
    """It could not be built."""
    OUTGROWN = "outgrown"
    """To bring it back takes more memory than it may."""
    SLEEP = "sleep"
    """Its record is in the store, and nothing needs its Document: for long, or not yet."""
    WAKE = "wake"
    """A client has sent something."""
    LEAVE = "leave"
    """It has to go from here; see :class:`Reason`."""
    LOST = "lost"
    """It is another replica's by now."""
    STUCK = "stuck"
    """Code of its does not return, while it is to leave."""
    ENDED = "ended"
    """All is done that its leaving takes."""


class Action(StrEnum):
    """What who told of an event has to do."""

    NOTHING = "nothing"
    RUN_APP = "run the app"
    SERVE = "serve"
    TAKE_APART = "take its Document apart"
    """Of one that leaves: after its clients and the store have heard of it."""
    SAY_FAREWELL = "say farewell"
    """Tell the store and the clients; there is no Document."""
    GIVE_UP = "give up its code"
    FORGET = "forget it"
    WAIT = "wait"
    """Somebody is at it: tell of the event again when that is over."""
    TURN_AWAY = "turn away"
    """There is nothing here (any more); the client comes back and finds who has the session."""


class Reason(StrEnum):
    """Why a session leaves."""

    UNUSED = "unused"
    """Nobody has used it for long."""
    DRAINED = "drained"
    """The replica stops."""
    ENDED = "ended"
    """An operator has ended it."""
    RENEWED = "renewed"
    """``--dev``: its code has changed."""
    LOST = "lost"
    """Another replica has it."""
    FAILED = "failed"
    """The app's code raised while it was built."""
    PARKED = "parked"
    """It must not be brought back."""


_S, _E, _D = State, Event, Action

TRANSITIONS: Mapping[tuple[State, Event], tuple[State, Action]] = {
    (_S.CLAIMING, _E.GRANTED): (_S.BUILDING, _D.RUN_APP),
    (_S.CLAIMING, _E.REFUSED): (_S.GONE, _D.FORGET),
    (_S.BUILDING, _E.BUILT): (_S.LIVE, _D.SERVE),
    (_S.BUILDING, _E.SLEEP): (_S.ASLEEP, _D.NOTHING),
    (_S.BUILDING, _E.FAILED): (_S.LEAVING, _D.SAY_FAREWELL),
    (_S.BUILDING, _E.LEAVE): (_S.BUILDING, _D.WAIT),
    (_S.BUILDING, _E.LOST): (_S.BUILDING, _D.WAIT),
    (_S.BUILDING, _E.STUCK): (_S.LEAVING, _D.GIVE_UP),
    (_S.LIVE, _E.SLEEP): (_S.ASLEEP, _D.TAKE_APART),
    (_S.LIVE, _E.WAKE): (_S.LIVE, _D.NOTHING),
    (_S.LIVE, _E.LEAVE): (_S.LEAVING, _D.TAKE_APART),
    (_S.LIVE, _E.LOST): (_S.LEAVING, _D.TAKE_APART),
    (_S.ASLEEP, _E.WAKE): (_S.WAKING, _D.RUN_APP),
    (_S.ASLEEP, _E.LEAVE): (_S.LEAVING, _D.SAY_FAREWELL),
    (_S.ASLEEP, _E.LOST): (_S.LEAVING, _D.SAY_FAREWELL),
    (_S.WAKING, _E.BUILT): (_S.LIVE, _D.SERVE),
    (_S.WAKING, _E.FAILED): (_S.ASLEEP, _D.NOTHING),
    (_S.WAKING, _E.OUTGROWN): (_S.LEAVING, _D.SAY_FAREWELL),
    (_S.WAKING, _E.WAKE): (_S.WAKING, _D.WAIT),
    (_S.WAKING, _E.LEAVE): (_S.WAKING, _D.WAIT),
    (_S.WAKING, _E.LOST): (_S.WAKING, _D.WAIT),
    (_S.WAKING, _E.STUCK): (_S.LEAVING, _D.GIVE_UP),
    (_S.LEAVING, _E.WAKE): (_S.LEAVING, _D.TURN_AWAY),
    (_S.LEAVING, _E.LEAVE): (_S.LEAVING, _D.WAIT),
    (_S.LEAVING, _E.LOST): (_S.LEAVING, _D.WAIT),
    (_S.LEAVING, _E.STUCK): (_S.LEAVING, _D.GIVE_UP),
    (_S.LEAVING, _E.ENDED): (_S.GONE, _D.FORGET),
    (_S.GONE, _E.WAKE): (_S.GONE, _D.TURN_AWAY),
    (_S.GONE, _E.LEAVE): (_S.GONE, _D.NOTHING),
    (_S.GONE, _E.LOST): (_S.GONE, _D.NOTHING),
    (_S.GONE, _E.STUCK): (_S.GONE, _D.NOTHING),
    (_S.GONE, _E.ENDED): (_S.GONE, _D.NOTHING),
}
"""What is not in here is forbidden."""

_REASONS = {Event.FAILED: Reason.FAILED, Event.OUTGROWN: Reason.PARKED}
"""Why a session leaves that cannot be built."""

HELD = frozenset({State.LIVE, State.ASLEEP, State.WAKING, State.LEAVING})
"""States of sessions that count as this replica's: what is claimed or built is not there yet."""


class Forbidden(RuntimeError):
    """An event that cannot happen in that state: a fault of who told of it."""


class Life:
    """One session's life."""

    __slots__ = ("_state", "_why")

    def __init__(self, state: State = State.CLAIMING) -> None:
        self._state = state
        self._why: Reason | None = None

    @property
    def state(self) -> State:
        return self._state

    @property
    def why(self) -> Reason | None:
        """Why it leaves, or has left; None before, and where it never was this replica's."""
        return self._why

    @property
    def lost(self) -> bool:
        """Whether another replica has it by now."""
        return self._why is Reason.LOST

    @property
    def held(self) -> bool:
        """Whether it counts among this replica's sessions."""
        return self._state in HELD

    def on(self, event: Event) -> Action:
        """``event`` happened; what has to be done now. For LEAVE, LOST and STUCK there are methods below.

        Raises Forbidden, and nothing has changed.
        """
        if event in (Event.LEAVE, Event.LOST, Event.STUCK):
            raise Forbidden(f"{event} without a reason")
        do = self._go(event)
        if do is Action.SAY_FAREWELL:
            self._why = _REASONS[event]
        return do

    def leave(self, why: Reason) -> Action:
        """It has to leave; what has to be done. The first reason holds, unless the session is lost."""
        if why in _REASONS.values():
            raise Forbidden(f"that a session is {why} has an event of its own")
        do = self._go(Event.LOST if why is Reason.LOST else Event.LEAVE)
        self._note(why)
        return do

    def give_up(self, why: Reason) -> Action:
        """Its code does not return while it is to leave; what has to be done. The first reason holds."""
        do = self._go(Event.STUCK)
        self._note(why)
        return do

    def _note(self, why: Reason) -> None:
        if self._state is State.LEAVING and (self._why is None or why is Reason.LOST):
            self._why = why

    def _go(self, event: Event) -> Action:
        try:
            self._state, do = TRANSITIONS[self._state, event]
        except KeyError:
            raise Forbidden(f"{event} cannot happen to a session that is {self._state}") from None
        return do


class StoreOperation(StrEnum):
    """What the store is told of a session that leaves."""

    NOTHING = "nothing"
    RELEASE = "release"
    """Anybody may claim it; its journal is retained."""
    RELEASE_IF_SEEN = "release if seen"
    """That, if a client has seen it and sessions are retained; else it is discarded."""
    RETAIN = "retain"
    """It is nobody's, and its journal is retained, as it was before the claim."""
    DISCARD = "discard"
    """Nothing of it is retained; its token may begin it anew."""
    END = "end"
    """It cannot be begun anew."""
    PARK = "park"
    """It cannot be brought back; an operator sees it."""


@dataclass(frozen=True, slots=True)
class Closing:
    """How the connections are closed; after ``patience`` seconds, where the transport's are too many."""

    close: Close
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """What happens when a session leaves for a reason."""

    writes: bool
    """The journal is written first."""
    told: StoreOperation
    closing: Closing | None
    """None where nobody is connected."""
    metric: str | None
    """How it is counted in ``svc_session_ends_total``."""


DEPARTURES: Mapping[Reason, Departure] = {
    Reason.UNUSED: Departure(True, StoreOperation.RELEASE_IF_SEEN, None, "unused"),
    Reason.DRAINED: Departure(True, StoreOperation.RELEASE, Closing(SESSION_MOVES), "moved"),
    # Its pages come back, too: only then can they be told.
    Reason.ENDED: Departure(False, StoreOperation.END, Closing(SESSION_ENDED), "ended"),
    Reason.RENEWED: Departure(True, StoreOperation.RELEASE, Closing(APP_CHANGED), None),
    # A client shall not be shown for long what is not so any more.
    Reason.LOST: Departure(False, StoreOperation.NOTHING, Closing(SESSION_ELSEWHERE, 0.5), "lost"),
    Reason.FAILED: Departure(False, StoreOperation.RETAIN, None, None),
    # As it is ended: its pages come back, and are told.
    Reason.PARKED: Departure(False, StoreOperation.PARK, Closing(SESSION_PARKED), None),
}
