#!/bin/sh
# bokeh 3.9.2 and 3.10.2: Python keeps the value of a property with units (radius=1) apart from its units
# (radius_units="screen"), and sends one thing: {"type": "value", "value": 1, "units": "screen"}. A Document that is read back
# from that has a Value with the units inside, and those win over radius_units from then on: set radius_units="data" and the
# property says "data", while what is sent to the browser says "screen" still. In a Document that was never serialized the
# same line has its effect. No error, no warning.
# Seen: before "data" is sent, after "screen", with both releases; radius_units is "data" each time.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from bokeh.document import Document
from bokeh.models import Circle


def sent(document):
    circle = document.roots[0]
    circle.radius_units = "data"
    radius = document.to_json(deferred=False)["roots"][0]["attributes"]["radius"]
    return circle.radius_units, radius.get("units", "data")


document = Document()
document.add_root(Circle(radius=1, radius_units="screen"))
read = Document.from_json(document.to_json())
print("as made:", *sent(document), "| read back:", *sent(read))
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release, $("$python" show.py)"
done | tee "$work/seen"
for release in 3.9.2 3.10.2; do
    echo "bokeh $release, as made: data data | read back: data screen"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
