"""What takes so long. Workers import this module; they never run `main.py`."""

import random
import time

from svc import fleet


@fleet.job(time_limit=3600)
def simulate(seconds):
    """A random walk; the sleep stands for what a computer would have to do."""
    # At least once: if its worker dies, another one begins anew. The same seed makes the same result of it.
    steps, at, ys = random.Random(fleet.current_job().id), 0.0, []
    for number in range(1000):
        at += steps.gauss(0, 1)
        ys.append(at)
        time.sleep(seconds / 1000)
        fleet.progress((number + 1) / 1000, f"{number + 1} of 1000 steps")
    return {"x": list(range(1000)), "y": ys}
