import asyncio

import panel as pn

pn.extension()
button = pn.widgets.Button(name="go")
state = pn.pane.Str("idle")


async def work(event):
    state.object = "working"
    await asyncio.sleep(0.05)
    state.object = f"done {event.new}"


button.param.watch(work, "clicks")
pn.Column(button, state).servable()
