import datetime as dt

import panel as pn
import ticking

pn.extension()
pn.state.schedule_task("tick", ticking.tick, period=dt.timedelta(milliseconds=100))
shown = pn.widgets.IntInput(name="ticks", value=0)


def show():
    shown.value = ticking.count


pn.state.add_periodic_callback(show, period=50)
pn.state.on_session_destroyed(lambda context: print("a session with a task ended", flush=True))
pn.Column(shown).servable()
