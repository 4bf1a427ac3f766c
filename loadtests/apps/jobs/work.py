"""What the app's sessions submit."""

import time

from service import fleet

PAUSE_SECONDS = 0.3
"""Longer than it takes until a session hears of progress: else it would miss some."""


@fleet.job
def nothing(number):
    return number


@fleet.job
def reports(number):
    for step in range(5):
        fleet.progress(step / 5, f"at {time.time()} of {number}")
        time.sleep(PAUSE_SECONDS)
    return number
