"""A session's life: every event in every state, and random histories beside a simple model."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.sessions.life import (
    DEPARTURES,
    HELD,
    TRANSITIONS,
    Action,
    Event,
    Forbidden,
    Life,
    Reason,
    State,
    StoreOperation,
)

REASONS = [reason for reason in Reason if reason not in (Reason.FAILED, Reason.PARKED)]


def in_state(state: State) -> Life:
    """By the shortest way through the table."""
    ways: dict[State, list[Event]] = {State.CLAIMING: []}
    while state not in ways:
        for (before, event), (after, _) in TRANSITIONS.items():
            if before in ways and after not in ways:
                ways[after] = [*ways[before], event]
    life = Life()
    for event in ways[state]:
        tell(life, event)
    return life


def tell(life: Life, event: Event) -> Action:
    if event is Event.LEAVE:
        return life.leave(Reason.DRAINED)
    if event is Event.STUCK:
        return life.give_up(Reason.ENDED)
    return life.leave(Reason.LOST) if event is Event.LOST else life.on(event)


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_be_reached(state: State) -> None:
    assert in_state(state).state is state


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_an_event_does_what_the_table_says_and_is_forbidden_where_it_says_nothing(
    state: State, event: Event
) -> None:
    life = in_state(state)
    after, do = TRANSITIONS.get((state, event), (state, None))

    if do is None:
        with pytest.raises(Forbidden, match=f"{event} cannot happen to a session that is {state}"):
            tell(life, event)
    else:
        assert tell(life, event) is do
    assert life.state is after


@pytest.mark.parametrize("state", list(State)[1:])
def test_whoever_must_leave_can_be_told_so_in_any_state_once_it_is_granted(state: State) -> None:
    """What cannot leave at once says what to do until it can."""
    for reason in REASONS:
        assert in_state(state).leave(reason) in (
            Action.TAKE_APART,
            Action.SAY_FAREWELL,
            Action.WAIT,
            Action.NOTHING,
        )


def test_leaving_has_a_reason() -> None:
    for event in (Event.LEAVE, Event.LOST, Event.STUCK):
        with pytest.raises(Forbidden):
            in_state(State.LIVE).on(event)
    for reason in set(Reason) - set(REASONS):
        with pytest.raises(Forbidden):
            in_state(State.LIVE).leave(reason)


def test_the_first_reason_holds() -> None:
    life = in_state(State.LIVE)
    life.leave(Reason.ENDED)

    assert life.leave(Reason.DRAINED) is Action.WAIT
    assert life.why is Reason.ENDED


def test_what_is_lost_while_it_leaves_is_lost() -> None:
    """Else it would say farewell as if the store still listened to it."""
    life = in_state(State.LIVE)
    life.leave(Reason.DRAINED)

    assert life.leave(Reason.LOST) is Action.WAIT
    assert life.lost


def test_a_wake_that_fails_can_be_tried_again_and_a_build_that_fails_cannot() -> None:
    waking, building = in_state(State.WAKING), in_state(State.BUILDING)

    assert waking.on(Event.FAILED) is Action.NOTHING
    assert waking.on(Event.WAKE) is Action.RUN_APP
    assert building.on(Event.FAILED) is Action.SAY_FAREWELL
    assert building.why is Reason.FAILED


def test_every_reason_says_what_happens() -> None:
    assert DEPARTURES.keys() == set(Reason)


def test_what_is_another_replicas_is_neither_written_nor_told_to_the_store() -> None:
    departure = DEPARTURES[Reason.LOST]

    assert (departure.writes, departure.told) == (False, StoreOperation.NOTHING)


class Histories(RuleBasedStateMachine):
    """The model is three facts: whether it is ours, whether there is a Document, and why it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.asked = self.ours = self.whole = self.slept = self.at_it = False
        self.why: Reason | None = None
        self.over = False

    @precondition(lambda self: not self.asked)
    @rule(granted=st.booleans())
    def claim(self, granted: bool) -> None:
        self.asked = True
        self.ours = self.at_it = granted
        self.over = not granted
        assert self.life.on(Event.GRANTED if granted else Event.REFUSED) is (
            Action.RUN_APP if granted else Action.FORGET
        )

    @precondition(lambda self: self.ours and self.at_it and self.why is None)
    @rule(works=st.booleans(), too_large=st.booleans())
    def run_the_app(self, works: bool, too_large: bool) -> None:
        too_large &= self.slept
        do = self.life.on(Event.BUILT if works else Event.OUTGROWN if too_large else Event.FAILED)
        self.at_it = False
        if works:
            self.whole = True
            assert do is Action.SERVE
        elif too_large:
            self.why = Reason.PARKED
            assert do is Action.SAY_FAREWELL
        elif self.slept:
            assert do is Action.NOTHING
        else:
            self.why = Reason.FAILED
            assert do is Action.SAY_FAREWELL

    @precondition(lambda self: self.whole and self.why is None)
    @rule()
    def sleep(self) -> None:
        self.whole, self.slept = False, True
        assert self.life.on(Event.SLEEP) is Action.TAKE_APART

    @precondition(lambda self: self.ours and self.at_it and self.why is None and not self.slept)
    @rule()
    def be_shown_first(self) -> None:
        self.at_it, self.slept = False, True
        assert self.life.on(Event.SLEEP) is Action.NOTHING

    @precondition(lambda self: self.slept or self.whole)
    @rule()
    def a_message_comes(self) -> None:
        do = self.life.on(Event.WAKE)
        if self.over or self.why is not None:
            assert do is Action.TURN_AWAY
        elif self.whole:
            assert do is Action.NOTHING
        else:
            assert do is (Action.WAIT if self.at_it else Action.RUN_APP)
            self.at_it = True

    @precondition(lambda self: self.asked)
    @rule(why=st.sampled_from(REASONS))
    def leave(self, why: Reason) -> None:
        do = self.life.leave(why)
        if self.over:
            assert do is Action.NOTHING
        elif self.at_it or self.why is not None:
            assert do is Action.WAIT
            if self.why is not None and why is Reason.LOST:
                self.why = why
        else:
            self.why = why
            assert do is (Action.TAKE_APART if self.whole else Action.SAY_FAREWELL)

    @precondition(lambda self: self.why is not None or self.at_it)
    @rule(why=st.sampled_from(REASONS))
    def its_code_goes_on_and_on(self, why: Reason) -> None:
        assert self.life.give_up(why) is (Action.NOTHING if self.over else Action.GIVE_UP)
        self.why, self.at_it = self.why or why, False
        if why is Reason.LOST and not self.over:
            self.why = why

    @precondition(lambda self: self.why is not None)
    @rule()
    def end(self) -> None:
        assert self.life.on(Event.ENDED) is (Action.NOTHING if self.over else Action.FORGET)
        self.over = True

    @invariant()
    def they_agree(self) -> None:
        assert self.life.why is self.why
        assert self.life.lost == (self.why is Reason.LOST)
        assert (self.life.state is State.GONE) == self.over
        assert self.life.held == (self.life.state in HELD)
        if self.ours and not self.over and self.why is None:
            assert self.life.held == (self.slept or self.whole)


def test_random_histories() -> None:
    run_state_machine_as_test(Histories, settings=settings(max_examples=200, deadline=None))
