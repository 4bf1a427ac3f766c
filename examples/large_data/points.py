"""Ten million measurements, made once per process, and what of them a view needs."""

import numpy as np

COUNT = 10_000_000
BUCKETS = 1000

_steps = np.random.default_rng(1).standard_normal(COUNT, dtype=np.float32)
VALUES = np.cumsum(_steps, dtype=np.float32)
del _steps


def visible(start, end):
    """At most 2 * BUCKETS points between two indices: the lowest and highest of each bucket."""
    start, end = max(0, int(start)), min(COUNT, int(end) + 1)
    part = VALUES[start:end]
    width = max(1, len(part) // BUCKETS)
    whole = len(part) // width * width
    if width == 1:
        return {"x": np.arange(start, end), "y": part}
    buckets = part[:whole].reshape(-1, width)
    x = start + np.arange(len(buckets)) * width
    y = np.column_stack([buckets.min(axis=1), buckets.max(axis=1)]).ravel()
    return {"x": np.repeat(x, 2), "y": y}
