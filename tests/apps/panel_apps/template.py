import panel as pn

pn.extension()
slider = pn.widgets.IntSlider(name="slider", start=0, end=10, value=1)
template = pn.template.FastListTemplate(title="A template", sidebar=[slider])
template.main.append(pn.pane.Markdown(pn.bind(lambda v: f"twice {2 * v}", slider)))
template.servable()
