"""Each move of a slider submits a job, and shows what is heard of it."""

from bokeh.io import curdoc
from bokeh.models import Div, Slider
from work import nothing, reports

from service import fleet

shown = Div(name="shown", text="0")
curdoc().add_root(shown)


def follow(job):
    job.on_progress(lambda fraction, text: setattr(shown, "text", text))
    job.on_done(lambda job: setattr(shown, "text", f"done {job.result}"))


for name, func in (("nothing", nothing), ("reports", reports)):
    slider = Slider(name=name, start=0, end=1_000_000, value=0, step=1)
    slider.on_change("value", lambda attr, old, new, func=func: follow(fleet.submit(func, new)))
    curdoc().add_root(slider)
