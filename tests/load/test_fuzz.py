"""`make fuzz` makes the same inputs of the same seed, and its targets take what is right."""

from __future__ import annotations

import random

import pytest

from loadtests.fuzz.inputs import KINDS, Page, input_of
from loadtests.fuzz.mutations import altered, mutated

TOKEN = "eyJzZXNzaW9uX2lkIjoicyIsInNlc3Npb25fZXhwaXJ5IjoxfQ.e30.c2ln"
PAGE = Page("127.0.0.1:1", "fuzzed", TOKEN, {"slider": "p1", "source": "p2"}, {"roots": [{"id": "p1"}]})


def test_an_input_follows_from_its_seed() -> None:
    kinds = set()
    for number in range(60):
        one, other = input_of(f"7:{number}", PAGE), input_of(f"7:{number}", PAGE)
        assert one == other
        kinds.add(one.kind)
    assert kinds == set(KINDS)


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
