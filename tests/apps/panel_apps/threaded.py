import threading
import time

import panel as pn

pn.extension()
shown = pn.pane.Str("start")


def work():
    time.sleep(0.2)
    shown.object = "from a thread"


pn.state.onload(lambda: threading.Thread(target=work).start())
pn.Column(shown).servable()
