"""A computation of ten minutes with a progress bar, which goes on while its page is closed.

`?seconds=20` in the address makes it shorter. Run it with `svc serve examples/computation`: the server runs the job
itself. In a fleet, `svc worker examples/computation --redis redis://...` does.
"""

from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import Button, ColumnDataSource, Div
from bokeh.plotting import figure
from simulation import simulate

from svc import fleet

request = curdoc().session_context.request
seconds = float(request.arguments.get("seconds", [b"600"])[0])

begin = Button(label="Begin", button_type="primary", name="begin")
cancel = Button(label="Cancel", name="cancel", disabled=True)
bar = Div(name="bar", width=600)
said = Div(name="said", text="Nothing was computed yet.")
source = ColumnDataSource({"x": [], "y": []}, name="result")
plot = figure(width=600, height=300, title="Result")
plot.line("x", "y", source=source, line_width=2)


def show(fraction, text):
    bar.text = (
        '<div style="width:600px;background:#ddd">'
        f'<div style="width:{fraction:.1%};height:1.2em;background:#1f77b4"></div></div>'
    )
    said.text = text


def done(job):
    if job.state == "done":
        source.data = job.result
    said.text = f"{job.state} {job.error}"
    begin.disabled, cancel.disabled = False, True


def follow(job):
    begin.disabled, cancel.disabled = True, False
    job.on_progress(show)
    job.on_done(done)


# In coroutines, which work with and without --app-threads; on threads there is fleet.submit().
async def on_begin():
    follow(await fleet.asubmit(simulate, seconds))


async def on_cancel():
    await fleet.jobs()[-1].acancel()


begin.on_click(lambda event: curdoc().add_next_tick_callback(on_begin))
cancel.on_click(lambda event: curdoc().add_next_tick_callback(on_cancel))

# When the session has moved to another replica, or slept, this runs again: it follows what it has submitted.
for job in fleet.jobs()[-1:]:
    follow(job)

curdoc().add_root(column(row(begin, cancel), bar, said, plot))
curdoc().title = "Computation"
