#!/bin/sh
# bokeh 3.9.2 and 3.10.2: hasattr() or getattr() with a default for a property that a model does not have. The answer is right,
# but Bokeh first writes the error's message, which compares the name with those of all properties (difflib) to suggest
# similar ones, and the message is thrown away. A loop that asks all models of a page for one property, as in
# getattr(model, "output_backend", None), took a third of opening a session of a small app. Asking the class
# (name in type(model).properties()) is quick.
# Seen on Python 3.13.0: 190 to 270 microseconds for a Slider with either release, 0.3 to 0.5 for a property that it has.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import sys
from timeit import repeat

from bokeh.models import Slider

slider, names = Slider(start=0, end=1, value=0), Slider.properties()


def cost(ask: object) -> float:
    return min(repeat(ask, number=200, repeat=10)) / 200 * 1e6


lacks = cost(lambda: getattr(slider, "output_backend", None))
has = cost(lambda: getattr(slider, "value", None))
by_class = cost(lambda: "output_backend" in names)
print(f"a property it lacks: {lacks:.1f} us; one it has: {has:.2f} us; asking the class: {by_class:.2f} us")
sys.exit(lacks < 20 * max(has, by_class))
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release"
    "$python" show.py
done
