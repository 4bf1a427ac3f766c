"""`make fuzz` makes the same inputs of the same seed, and its targets take what is right."""

from __future__ import annotations

import random
import re

import pytest

from loadtests.fuzz.inputs import KINDS, Page, input_of
from loadtests.fuzz.mutations import altered, mutated
from loadtests.fuzz.wire import Findings, faults_of_memory

TOKEN = "eyJzZXNzaW9uX2lkIjoicyIsInNlc3Npb25fZXhwaXJ5IjoxfQ.e30.c2ln"
PAGE = Page("127.0.0.1:1", "fuzzed", TOKEN, {"slider": "p1", "source": "p2"}, {"roots": [{"id": "p1"}]})


def test_an_input_follows_from_its_seed() -> None:
    kinds = set()
    for number in range(60):
        one, other = input_of(f"7:{number}", PAGE), input_of(f"7:{number}", PAGE)
        assert one == other
        kinds.add(one.kind)
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, ""),
        ({"peak": 340}, ""),
        ({"peak": 360}, "at most 360"),
        ({"halfway": 150, "after": 160}, ""),
        ({"halfway": 145, "after": 162}, "145 after the first half, and is after the second 162"),
        ({"halfway": 192, "after": 197}, "when all is over 197"),
    ],
)
def test_memory_may_rise_for_a_while_and_settle(found: dict[str, int], said: str) -> None:
    """In MiB. What is left behind with every input is a leak, however little it is."""
    held = {"before": 100, "peak": 120, "halfway": 110, "after": 110, **found}
    faults = faults_of_memory(Findings(**{name: value << 20 for name, value in held.items()}))  # type: ignore[arg-type]

    assert [said in in_mib(fault) for fault in faults] == [True] * bool(said)


def in_mib(text: str) -> str:
    return re.sub(r"\d+", lambda number: str(int(number[0]) >> 20), text)


def test_damage_leaves_the_original_alone() -> None:
    value = {"events": [{"kind": "ModelChanged", "new": [1, 2]}]}
    for seed in range(50):
        altered(value, random.Random(seed))
    assert value == {"events": [{"kind": "ModelChanged", "new": [1, 2]}]}
    assert len({mutated(b"some bytes", random.Random(seed)) for seed in range(20)}) > 10


@pytest.mark.parametrize(
    "name", ["frames", "offers", "messages", "arrays", "stored", "journals", "values", "signed"]
)
def test_the_examples_of_each_target_and_some_damage_are_no_findings(name: str) -> None:
    from loadtests.fuzz.pure import TARGETS

    target, rng = TARGETS[name], random.Random(name)
    for example in target.examples:
        target.run(example)
        for _ in range(20):
            target.run(mutated(example, rng))
