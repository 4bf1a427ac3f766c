#!/bin/sh
# bokeh 3.9.2 and 3.10.2: an event that Python serializes and reads back with Bokeh's own Serializer and Deserializer, as who
# passes it on to another process does, is an event of the same class with nothing but its model. Where a tap was and the
# ranges of a plot are None. No error, no warning. What BokehJS sends has all values; what Python serializes is
# event_values(), which gives the model alone.
# Seen: with both releases "Tap True [3.0, 4.0] [None, None]", and so on.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from bokeh.core.serialization import Deserializer, Serializer
from bokeh.events import Pan, RangesUpdate, Tap
from bokeh.models import Plot

plot = Plot()
for event, names in [
    (Tap(plot, sx=1, sy=2, x=3.0, y=4.0), "x y"),
    (Pan(plot, delta_x=5.0, delta_y=6.0), "delta_x delta_y"),
    (RangesUpdate(plot, x0=0.0, x1=1.0, y0=0.0, y1=1.0), "x0 x1"),
]:
    back = Deserializer([plot]).deserialize(Serializer(references={plot}).serialize(event))
    values = [[getattr(each, name) for name in names.split()] for each in (event, back)]
    print(type(back).__name__, back.model is event.model, *values)
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release"
    "$python" show.py
done | tee "$work/seen"
for release in 3.9.2 3.10.2; do
    echo "bokeh $release"
    printf '%s\n' 'Tap True [3.0, 4.0] [None, None]' 'Pan True [5.0, 6.0] [None, None]' \
        'RangesUpdate True [0.0, 1.0] [None, None]'
done > "$work/expected"
cmp "$work/expected" "$work/seen"
