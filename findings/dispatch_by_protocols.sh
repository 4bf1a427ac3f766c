#!/bin/sh
# bokeh 3.9.2 and 3.10.2 on the same Python (3.13.0): what a Document's change costs where a session listens. In 3.10 the
# classes that say what a receiver takes (DocumentPatchedMixin and others) became runtime-checkable protocols, and each
# change of a property asks three of them by isinstance. Since Python 3.12 that reads attributes statically, class by
# class, and a "no" is never remembered. Seen: 0.7 microseconds per dispatched change with 3.9.2 and 24 with 3.10.2, 34
# times as much; setting a slider's value took 71 microseconds where nobody listens and 151 with such a receiver.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from timeit import repeat

from bokeh.document import Document
from bokeh.document.events import ModelChangedEvent
from bokeh.models import Slider


class Receiver:
    def _document_patched(self, event: object) -> None:
        pass


document, slider = Document(), Slider(start=0, end=1, value=0)
document.add_root(slider)
event, receiver = ModelChangedEvent(document, slider, "value", 1), Receiver()
print(min(repeat(lambda: event.dispatch(receiver), number=5000, repeat=20)) / 5000 * 1e6)
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    "$python" show.py > "$work/$release"
    echo "bokeh $release: $(cat "$work/$release") microseconds per dispatched change"
done
"$python" - "$work/3.9.2" "$work/3.10.2" <<'PY'
import sys

before, after = (float(open(path).read()) for path in sys.argv[1:])
print(f"{after / before:.1f} times as much")
sys.exit(after < 3 * before)
PY
