#!/bin/sh
# bokeh 3.9.2 and 3.10.2: a callback for an event that is added to a model which is in a Document already. With 3.9.2 the
# model is not subscribed to the event by that, so the callback never runs; the same line before add_root does. No error,
# no warning. With 3.10.2 both run. Callbacks for properties (on_change) do not have this difference.
# Seen: 3.9.2 runs ['early'], 3.10.2 ['early', 'late'].
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from bokeh.document import Document
from bokeh.events import ButtonClick
from bokeh.models import Button

document, early, late, ran = Document(), Button(), Button(), []
early.on_click(lambda: ran.append("early"))
document.add_root(early)
document.add_root(late)
late.on_click(lambda: ran.append("late"))
for button in (early, late):
    document.callbacks.trigger_event(ButtonClick(button))
print(ran)
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release: $("$python" show.py)"
done | tee "$work/seen"
cat > "$work/expected" <<'E2'
bokeh 3.9.2: ['early']
bokeh 3.10.2: ['early', 'late']
E2
cmp "$work/expected" "$work/seen"
