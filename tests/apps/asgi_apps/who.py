from bokeh.io import curdoc
from bokeh.models import Div

curdoc().add_root(Div(name="user", text=str(curdoc().session_context.request.user)))
