#!/bin/sh
# bokeh 3.9.2 and 3.10.2: `del plot.title` gives a plot its default title back, as `del` does for every property. For one whose
# default is a model, pages are told of nothing: there is no change event, though the title was another one and Python reads the
# default from then on. That new model is no part of the Document, so no later change of it makes an event either. A page that is
# loaded now has all of it. Assigning a model, `plot.title = Title()`, makes an event, and so do changes after that.
# Seen: with both releases "del: no events, then 0 events for a new text, which a reload shows".
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from bokeh.document import Document
from bokeh.models import Plot, Title


def take(plot):
    del plot.title


def assign(plot):
    plot.title = Title()


for name, back in ("del", take), ("assigned", assign):
    document, plot = Document(), Plot()
    document.add_root(plot)
    plot.title.text = "mine"
    events = []
    document.on_change(events.append)
    back(plot)
    assert plot.title.text == "" and document.to_json(deferred=False)
    first = len(events)
    plot.title.text = "new"
    (root,) = document.to_json(deferred=False)["roots"]
    assert root["attributes"]["title"]["attributes"]["text"] == "new"
    print(f"{name}: {first or 'no'} events, then {len(events) - first} events for a new text, which a reload shows")
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release"
    "$python" show.py
done | tee "$work/seen"
for release in 3.9.2 3.10.2; do
    echo "bokeh $release"
    echo "del: no events, then 0 events for a new text, which a reload shows"
    echo "assigned: 1 events, then 1 events for a new text, which a reload shows"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
