"""A chart whose clicks Python hears, a file made on demand, one that is given, and a player."""

from io import StringIO

import panel as pn

pn.extension("echarts")
top = pn.widgets.IntSlider(name="top", start=1, end=9, value=3)


def bars(top):
    axes = {"xAxis": {"data": ["a", "b"]}, "yAxis": {"max": 9}}
    return {**axes, "animation": False, "series": [{"type": "bar", "data": [top, 2]}]}


chart = pn.pane.ECharts(bars(3), height=250, width=400)
top.param.watch(lambda event: setattr(chart, "object", bars(event.new)), "value")
clicked = pn.pane.Str("clicked -")
chart.on_event("click", lambda event: setattr(clicked, "object", f"clicked {event.data['value']}"))
made = pn.widgets.FileDownload(callback=lambda: StringIO(f"top {top.value}"), filename="top.txt", label="get")
given = pn.widgets.FileInput()
size = pn.pane.Str(
    pn.bind(lambda name, data: f"given {name} {len(data or b'')}", given.param.filename, given)
)
player = pn.widgets.Player(start=0, end=100_000, interval=100, value=0)
frame = pn.pane.Str(pn.bind(lambda value: f"frame {value}", player))
pn.Column(top, chart, clicked, made, given, size, player, frame).servable()
