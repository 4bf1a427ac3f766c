"""A table of orders that users edit, in the ways in which a table shows a part of its frame only."""

import numpy as np
import pandas as pd
import panel as pn

pn.extension("tabulator")

MODES = {
    "all": {},
    "local": {"pagination": "local", "page_size": 10},
    "remote": {"pagination": "remote", "page_size": 10},
    "filtered": {},
}
mode = pn.state.session_args.get("mode", [b"all"])[0].decode()
frame = pd.DataFrame(
    {
        "name": [f"n{number}" for number in range(30)],
        "v": np.arange(30),
        "day": pd.date_range("2026-01-01", periods=30),
    }
)
table = pn.widgets.Tabulator(frame, **MODES[mode])
if mode == "filtered":
    table.add_filter(lambda shown: shown[shown["v"] >= 20])

edits = []
edited = pn.pane.Str("edits []", name="edits")
ask = pn.widgets.TextInput(name="ask")
answer = pn.pane.Str("answer", name="answer")
more = pn.widgets.Button(name="more")


def note_edit(event):
    edits.append((event.column, event.row))
    edited.object = f"edits {edits}"


def say(event):
    names = [(row, name) for row, name in enumerate(table.value.name) if name != f"n{row}"]
    numbers = [(row, int(number)) for row, number in enumerate(table.value.v) if number != row]
    answer.object = (
        f"{event.new} names={names} numbers={numbers} rows={len(table.value)} chosen={table.selection} "
        f"noted={edits} {table.value.dtypes.v} {table.value.day.iloc[29]:%d.%m.}"
    )


def add(event):
    row = pd.DataFrame({"name": ["more"], "v": [99], "day": [pd.Timestamp("2027-01-01")]})
    table.stream(row, follow=False)


table.on_edit(note_edit)
ask.param.watch(say, "value")
more.on_click(add)
pn.Column(table, edited, ask, answer, more).servable()
