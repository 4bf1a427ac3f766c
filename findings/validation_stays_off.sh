#!/bin/sh
# bokeh 3.9.2 and 3.10.2: validate(False), the context manager that makes many models quickly, used by two threads at a time
# whose blocks overlap (A enters, B enters, A leaves, B leaves). With 3.9.2 each leaving restores what it found, for the
# whole process: B found "off", so properties are not validated any more, for good and everywhere: a slider takes a text
# as its value. With 3.10.2 the switch belongs to the context, so it is back on. Nothing is raised or logged.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from threading import Event, Thread

from bokeh.core.property.validation import validate
from bokeh.models import Slider

other_is_in, left = Event(), Event()


def other() -> None:
    with validate(False):
        other_is_in.set()
        left.wait()


thread = Thread(target=other)
with validate(False):
    thread.start()
    other_is_in.wait()
left.set()
thread.join()
try:
    print("value:", repr(Slider(start=0, end=1, value="text").value))
except ValueError:
    print("refused")
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release: $("$python" show.py)"
done | tee "$work/seen"
cat > "$work/expected" <<'E2'
bokeh 3.9.2: value: 'text'
bokeh 3.10.2: refused
E2
cmp "$work/expected" "$work/seen"
