#!/bin/sh
# bokeh 3.9.2 and 3.10.2, numpy 2.4.6, pandas 3.0.1: where a time lands in the browser depends on what holds it. A datetime with a zone
# is the clock's reading there when it is in a list, as if the zone were UTC, and the moment it means when the same object is in a
# NumPy array or a Series; a pandas Timestamp is the moment in both. So a column given as a list and one given as an array, of the very
# same datetimes, are drawn hours apart. A date in a list travels as text, which no datetime axis can place, and as midnight in an array.
# Seen: noon of July 1 in Berlin (10:00 UTC) as 12:00 from a list and as 10:00 from an array and from a Timestamp, with both releases.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import base64
import datetime as dt
import gzip
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from bokeh.core.serialization import Serializer
from bokeh.models import ColumnDataSource


def sent(column):
    """The one value of a column as BokehJS reads it: milliseconds since 1970, UTC, or text."""
    rep = Serializer(deferred=False).encode(ColumnDataSource({"x": column}).data["x"])
    values = rep["array"] if isinstance(rep, dict) else rep
    if isinstance(values, dict):
        values = np.frombuffer(gzip.decompress(base64.b64decode(values["data"])), dtype=rep["dtype"])
    (value,) = values
    return value if isinstance(value, str) else f"{dt.datetime.fromtimestamp(value / 1000, dt.UTC):%d. %H:%M}"


noon = dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
for name, value in (("datetime", noon), ("Timestamp", pd.Timestamp(noon)), ("date", noon.date())):
    holders = [value], np.array([value], dtype=object), pd.Series([value])
    print(f"{name}: in a list {sent(holders[0])}, in an array {sent(holders[1])}, in a Series {sent(holders[2])}")
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release" numpy==2.4.6 pandas==3.0.1
    echo "bokeh $release"
    "$python" -W ignore show.py  # numpy warns that it drops zones, in the case that is exact
done | tee "$work/seen"
for release in 3.9.2 3.10.2; do
    echo "bokeh $release"
    echo "datetime: in a list 01. 12:00, in an array 01. 10:00, in a Series 01. 10:00"
    echo "Timestamp: in a list 01. 10:00, in an array 01. 10:00, in a Series 01. 10:00"
    echo "date: in a list 2024-07-01, in an array 01. 00:00, in a Series 01. 00:00"
done > "$work/expected"
cmp "$work/expected" "$work/seen"
