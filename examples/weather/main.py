"""A year of weather at four made-up stations, in a page of its own design.

A directory app with everything one can have: a template with variables and named roots, a theme, static
files, hooks, a data file and a helper module. `?station=Sandhaven` in the address chooses where to begin.
"""

from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, Div, HoverTool, RadioButtonGroup, Select
from bokeh.plotting import figure

import stations

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
UNITS = ["°C", "°F"]

document = curdoc()
context = document.session_context
climate = stations.load()


def asked(name: str, default: str) -> str:
    """An argument in the page's address."""
    values = context.request.arguments.get(name) if context and context.request else None
    return values[0].decode("utf-8", "replace") if values else default


def wished_unit() -> str:
    """What `process_request` in app_hooks.py made of the browser's language."""
    return (context.token_payload if context else {}).get("unit", "°C")


def columns(name: str, unit: str) -> dict[str, list]:
    year = climate[name]
    return {
        "month": MONTHS,
        "low": stations.convert(year.low, unit),
        "high": stations.convert(year.high, unit),
        "rain": year.rain,
    }


first = asked("station", "Northfell")
station = Select(name="station", title="Station", options=list(climate), value="Northfell")
if first in climate:
    station.value = first
unit = RadioButtonGroup(name="unit", labels=UNITS, active=UNITS.index(wished_unit()))
source = ColumnDataSource(name="climate", data=columns(station.value, UNITS[unit.active]))
facts = Div(name="facts", sizing_mode="stretch_width")

temperature = figure(
    name="temperature", x_range=MONTHS, height=300, sizing_mode="stretch_width", toolbar_location=None, tools=""
)
bars = temperature.vbar("month", 0.55, top="high", bottom="low", source=source, color="#e07a5f", border_radius=6)
temperature.add_tools(HoverTool(renderers=[bars], tooltips=[("@month", "@low{0.0} to @high{0.0}")]))

rain = figure(
    name="rain", x_range=MONTHS, height=200, sizing_mode="stretch_width", toolbar_location=None, tools=""
)
drops = rain.vbar("month", 0.55, top="rain", source=source, color="#3d85a8", border_radius=6)
rain.add_tools(HoverTool(renderers=[drops], tooltips=[("@month", "@rain mm")]))
rain.y_range.start = 0
rain.yaxis.formatter = CustomJSTickFormatter(code="return `${tick} mm`")


def update(attr: str, old: object, new: object) -> None:
    shown = UNITS[unit.active]
    source.data = columns(station.value, shown)
    temperature.title.text = f"Night and day in {station.value} ({shown})"
    rain.title.text = f"Rain in {station.value}"
    facts.text = stations.describe(station.value, climate[station.value], shown)


station.on_change("value", update)
unit.on_change("active", update)
update("", None, None)

for root in (station, unit, facts, temperature, rain):
    document.add_root(root)
document.title = "Weather"
document.template_variables["heading"] = "Four places, one year"
document.template_variables["stations"] = [
    {"name": name, "altitude": year.altitude} for name, year in climate.items()
]
