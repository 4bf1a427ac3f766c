#!/bin/sh
# panel 1.9.4 and 1.10.0 with param 2.4.2: while Panel handles an input it makes the constant parameters of the widget variable. Where the
# widget has no copies of its own these are the parameters of its class, which the widgets of all sessions share. When the inputs of two
# sessions overlap on two threads (pn.extension(nthreads=2), --num-threads), the one that ends last puts back what it had found, which was
# variable: the parameter is no longer constant in that process, for any session, until it ends.
# Seen: two sliders, the callback of the first runs while the input of the second begins, and ends before it. Afterwards value_throttled of
# a third slider, which only the browser may change, is set from Python without an error. One after the other it raises TypeError.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import threading

import panel as pn


def sets_constant():
    try:
        pn.widgets.IntSlider(start=0, end=9).value_throttled = 5
    except TypeError:
        return False
    return True


def handle(waits_for=None, tells=None):
    slider = pn.widgets.IntSlider(start=0, end=9)

    def callback(event):
        if tells:
            tells.set()
        if waits_for:
            waits_for.wait(10)

    slider.param.watch(callback, "value")
    thread = threading.Thread(target=slider._process_events, args=({"value": 3},))  # what Panel does with an input
    thread.start()
    return thread


handle().join()
handle().join()
print("one after the other: a constant can be set:", sets_constant())

first_runs, first_may_end, second_runs, second_may_end = (threading.Event() for _ in range(4))
first = handle(first_may_end, first_runs)
first_runs.wait(10)
second = handle(second_may_end, second_runs)
second_runs.wait(10)
first_may_end.set()
first.join()
second_may_end.set()
second.join()
print("overlapping: a constant can be set:", sets_constant())
PY
for release in "1.9.4 3.9.2" "1.10.0 3.10.2"; do
    environment "panel==${release% *}" "bokeh==${release#* }" "param==2.4.2"
    "$python" -W ignore show.py
done | tee "$work/seen"
for release in 1.9.4 1.10.0; do
    echo "one after the other: a constant can be set: False"
    echo "overlapping: a constant can be set: True"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
