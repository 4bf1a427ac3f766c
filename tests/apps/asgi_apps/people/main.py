"""What a usual Panel page asks of its server: address and user from the first line on, files, a table."""

import pandas as pd
import panel as pn
from parts import Page

location, user = pn.state.location, pn.state.user
first_line = f"{user} at {location.pathname} {location.search}"

pn.extension("tabulator")
amount = pn.widgets.IntSlider(name="amount", start=0, end=10, value=1)
if "amount" in location.query_params:
    location.sync(amount, {"value": "amount"})
loaded = pn.pane.Str("not loaded")
pn.state.onload(lambda: setattr(loaded, "object", "loaded"))
frame = pd.DataFrame({"name": ["ada", "grace"], "amount": [1, 2]})
table = pn.widgets.Tabulator(frame, disabled=True)
add = pn.widgets.Button(name="add")
add.on_click(lambda event: table.stream({"name": "berta", "amount": amount.value}, follow=False))
Page(
    title="people",
    sidebar=[amount, add],
    main=[
        pn.pane.Str(f"first line: {first_line}"),
        loaded,
        pn.bind(lambda n: f"twice {2 * n}", amount),
        table,
    ],
).servable()
