import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import panel as pn
from bokeh.models import Div

pn.extension("tabulator", nthreads=4)

ROWS = 10
lock = threading.Lock()
table = pn.widgets.Tabulator(pd.DataFrame({"who": ["app"], "n": [0]}))
notes = pn.Column()
press = pn.widgets.Button(name="press")
outside = pn.widgets.Button(name="outside")


def stream(who):
    for n in range(ROWS):
        with lock:  # frames and lists of panes are not for two threads at once
            table.stream(pd.DataFrame({"who": [who], "n": [n]}), follow=False)
        time.sleep(0.001)
    with lock:
        notes.append(pn.pane.Bokeh(Div(text=f"{who} is done")))


# On Panel's own threads, several at a time.
press.on_click(lambda event: stream(f"press {event.new}"))


# On a thread that the app starts by itself, and on those of a pool of its own.
def start(event):
    threading.Thread(target=stream, args=(f"thread {event.new}",)).start()
    with ThreadPoolExecutor(2) as pool:
        for each in range(2):
            pool.submit(stream, f"pool {event.new} {each}")


outside.on_click(start)


# Models that threads make while the app is built, which the page waits for.
with ThreadPoolExecutor(3) as pool:
    built = list(pool.map(lambda n: pn.pane.Bokeh(Div(text=f"built {n}")), range(3)))

pn.Column(press, outside, *built, notes, table).servable()
