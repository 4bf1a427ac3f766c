import panel as pn

pn.extension()
slider = pn.widgets.IntSlider(name="slider", start=0, end=10, value=1)
pn.Column(slider, pn.pane.Str(pn.bind(lambda v: f"square {v * v}", slider), name="square")).servable()
