import pandas as pd
import panel as pn

from service import session_state

pn.extension("tabulator")
state = session_state(pn.state.curdoc)
rows = state.setdefault("rows", {"name": ["a", "b", "c"], "amount": [1, 2, 3]})
table = pn.widgets.Tabulator(pd.DataFrame(rows), name="table")
total = pn.pane.Str(f"total {sum(rows['amount'])}")


def changed(event):
    state["rows"] = table.value.to_dict("list")
    total.object = f"total {table.value.amount.sum()}"


table.on_edit(changed)
more = pn.widgets.Button(name="more")


def add(event):
    table.stream({"name": "d", "amount": 4}, follow=False)
    changed(event)


more.on_click(add)
pn.Column(table, total, more).servable()
