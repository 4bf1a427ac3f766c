import panel as pn

pn.extension()
slider = pn.widgets.IntSlider(name="slider", start=0, end=100, value=1)
seen = pn.pane.Str(f"args {pn.state.session_args.get('who')} cookie {pn.state.cookies.get('flavour')}")
pn.Column(slider, seen).servable()
pn.state.location.sync(slider, {"value": "amount"})
