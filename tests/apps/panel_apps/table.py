import pandas as pd
import panel as pn

pn.extension("tabulator")
frame = pd.DataFrame({"name": ["a", "b", "c"], "amount": [1, 2, 3]})
table = pn.widgets.Tabulator(frame, name="table")
total = pn.pane.Str("total 6")


def edited(event):
    total.object = f"total {table.value.amount.sum()}"


table.on_edit(edited)
more = pn.widgets.Button(name="more")


def add(event):
    table.stream({"name": "d", "amount": 4}, follow=False)
    total.object = f"total {table.value.amount.sum()}"


more.on_click(add)
pn.Column(table, total, more).servable()
