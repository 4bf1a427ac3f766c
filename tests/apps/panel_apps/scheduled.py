import panel as pn

pn.extension()
shown = pn.pane.Str("not yet")


@pn.cache
def expensive(number):
    return number + 41


async def run():
    shown.object = f"scheduled {expensive(1)} {pn.state.as_cached('shared', lambda: 'once')}"


pn.state.onload(lambda: pn.state.execute(run))
pn.Column(shown).servable()
