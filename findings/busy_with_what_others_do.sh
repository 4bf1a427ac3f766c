#!/bin/sh
# panel 1.9.4 and 1.10.0: the busy indicator of a page (that of the templates, or one given to pn.state.sync_busy) belongs to the process.
# One event of one session sets the indicators of all sessions that are open, on, and off again; each of them is a change that is sent to
# that session's page. So users see the server as busy with what others do, and the work for one event grows with the number of open pages.
# Seen: with 20 pages open one event of one of them makes 40 changes of indicators, 38 of them in other sessions.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
from types import SimpleNamespace

import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc, state
from panel.util import edit_readonly

PAGES = 20
changes = []
documents = []
contexts = []
for page in range(PAGES):
    document = Document()
    contexts.append(SimpleNamespace(request=SimpleNamespace(arguments={}), session=None))
    document._session_context = lambda context=contexts[-1]: context
    with set_curdoc(document):
        indicator = pn.indicators.LoadingSpinner()
        document.add_root(indicator.get_root(document))
        indicator.param.watch(lambda event, page=page: changes.append(page), "value")
        state.sync_busy(indicator)
    documents.append(document)

with set_curdoc(documents[0]), edit_readonly(state):
    state.busy = True  # as Panel does around what it does for an event
    state.busy = False
others = sum(page != 0 for page in changes)
print(f"one event of one of {PAGES} sessions: {len(changes)} changes of indicators, {others} of them in other sessions")
PY
for release in "1.9.4 3.9.2" "1.10.0 3.10.2"; do
    environment "panel==${release% *}" "bokeh==${release#* }"
    "$python" -W ignore show.py
done | tee "$work/seen"
for release in 1.9.4 1.10.0; do
    echo "one event of one of 20 sessions: 40 changes of indicators, 38 of them in other sessions"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
