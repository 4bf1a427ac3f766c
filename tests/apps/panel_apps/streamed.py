import asyncio

import panel as pn

pn.extension()
out = pn.pane.Markdown("", enable_streaming=True)
again = pn.widgets.Button(name="again")


async def answer(event):
    for word in ["one", "two", "three"]:
        out.object += f" {word}"
        await asyncio.sleep(0.1)


again.on_click(answer)
pn.Column(again, out).servable()
