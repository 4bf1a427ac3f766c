#!/bin/sh
# panel 1.10.0 (1.9.4 as well): pn.cache does not hash all of a large numpy array, but a random sample with a fixed seed. A function that
# is called with an array of 1,000,000 numbers, and then with one that differs from it in a single number, is not called a second time,
# unless that number happens to be in the sample: the second caller gets the first one's result. Below 100,000 numbers it is called.
# So pn.cache on "this month's data with one value corrected" shows the value before the correction, whatever ttl allows.
# Seen: of 20 arrays with one number changed, at places spread over the array, at least 17 got the result of the unchanged one; of 20
# small arrays none did.
. "$(dirname "$0")/lib.sh"
environment panel==1.10.0 bokeh==3.10.2 numpy==2.4.0 pandas==2.3.3
cat > show.py <<'PY'
import numpy as np
import panel as pn

calls = []


@pn.cache
def total(values: np.ndarray) -> float:
    calls.append(len(values))
    return float(values.sum())


def stale(size: int) -> int:
    unchanged = np.zeros(size)
    assert total(unchanged) == 0.0
    wrong = 0
    for place in range(size // 40, size, size // 20):
        corrected = unchanged.copy()
        corrected[place] = 7.0
        wrong += total(corrected) != 7.0
    return wrong


print("large arrays with the result of another one: %d of 20" % stale(1_000_000))
print("small arrays with the result of another one: %d of 20" % stale(10_000))
PY
"$python" -W ignore show.py | tee seen
printf "large arrays with the result of another one: most of 20\nsmall arrays with the result of another one: 0 of 20\n" > expected
sed -E 's/: (17|18|19|20) of/: most of/' seen | cmp expected -
