#!/bin/sh
# bokeh 3.9.2 and 3.10.2: Document.hold() combines the changes of one property into one, with the last value. A model that came and went
# meanwhile is in none of the values that are told, but a change of a property of it is told nonetheless, and whoever is told, as a page
# or bokeh.client, has never heard of that model. A callback that swaps a view twice is enough: row.children = [a, b]; b.title = "x";
# row.children = [c].
# Seen: the copy of a Document that is patched with what is told, message by message, takes the change of row.children and raises
# UnknownReferenceError for that of b.title. Without hold(): all three changes are taken.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from bokeh.core.serialization import UnknownReferenceError
from bokeh.document import Document
from bokeh.models import Row, Slider
from bokeh.protocol import Protocol


def slider(title):
    return Slider(start=0, end=9, value=1, title=title)


def told(hold):
    a, b, c = map(slider, "abc")
    row = Row(children=[a])
    document = Document()
    document.add_root(row)
    copy = Document.from_json(document.to_json())
    seen = []

    def tell(event):
        message = Protocol().create("PATCH-DOC", [event])
        try:
            message.apply_to_document(copy)
            seen.append(event.attr)
        except UnknownReferenceError:
            seen.append(f"{event.attr}: unknown reference")

    document.on_change_dispatch_to(type("Page", (), {"_document_patched": staticmethod(tell)})())
    if hold:
        document.hold()
    row.children = [a, b]
    b.title = "x"
    row.children = [c]
    document.unhold()
    return seen


print("as they come:", told(False))
print("held:", told(True))
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    "$python" -W ignore show.py
done | tee "$work/seen"
for release in 3.9.2 3.10.2; do
    echo "as they come: ['children', 'title', 'children']"
    echo "held: ['children', 'title: unknown reference']"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
