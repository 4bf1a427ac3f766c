"""Commands are cut into slices without losing or moving a byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from store.sending import SLICE, _batches

sizes = st.lists(st.sampled_from([0, 1, 1000, SLICE, SLICE + 1, 2 * SLICE + 7]), max_size=6)


@given(sizes)
def test_slices_are_small_and_together_the_command(sizes: list[int]) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    batches = list(_batches(parts))
    assert b"".join(b"".join(batch) for batch in batches) == b"".join(parts)
    assert all(len(piece) <= SLICE for batch in batches for piece in batch)
