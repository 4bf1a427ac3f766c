"""A template that loads much, and a table that loads more."""

import pandas as pd
import panel as pn

pn.extension("tabulator", "ipywidgets", notifications=True)
table = pn.widgets.Tabulator(pd.DataFrame({"name": ["ada", "grace"], "born": [1815, 1906]}))
pn.template.FastListTemplate(title="people", sidebar=[pn.pane.Str("beside")], main=[table]).servable()
