#!/bin/sh
# bokeh 3.9.2 and 3.10.2: an app's on_session_created may be a coroutine function by the look of it (the handlers'
# own methods are), but its coroutine is never awaited: 3.9 drops it in Application, 3.10 already in LifecycleHandler,
# which calls the hook on a thread. There is no error; only synchronous hooks run.
# Seen with both: "async hook: []" and "sync hook: ['sync']".
. "$(dirname "$0")/lib.sh"
mkdir "$work/app"
cat > "$work/app/main.py" <<'PY'
from bokeh.io import curdoc
from bokeh.models import Div
curdoc().add_root(Div(text="here"))
PY
cat > "$work/app/app_hooks.py" <<'PY'
seen = []
async def on_session_created(session_context):
    seen.append("async")
PY
cat > "$work/show.py" <<'PY'
import asyncio, warnings
from bokeh.application import Application
from bokeh.application.handlers import DirectoryHandler

warnings.simplefilter("ignore")
handler = DirectoryHandler(filename="app")
hooks = handler._lifecycle_handler._module
asyncio.run(Application(handler).on_session_created(object()))
print("async hook:", hooks.seen)

hooks.seen.clear()
handler._lifecycle_handler._on_session_created = lambda context: hooks.seen.append("sync")
asyncio.run(Application(handler).on_session_created(object()))
print("sync hook:", hooks.seen)
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release"
    echo "bokeh $release"
    "$python" show.py | tee seen
    printf 'async hook: []\nsync hook: ['"'sync'"']\n' | cmp - seen
done
