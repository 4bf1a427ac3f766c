#!/bin/sh
# bokeh 3.9.2 and 3.10.2 with pandas 3.0.1: a list or dict that holds a pandas extension array (nullable integers) is
# silently not set where the value before holds an array of the same place. Bokeh compares old and new by ==, which
# Python asks item by item; for such arrays that is an array, whose truth counts instead of what is in it, so the new
# value passes for equal. Nothing is raised, nothing is sent, and the model keeps the old value.
# Seen with both: tags [{'x': [0.5, 0.25, 0.125]}] before and after the assignment of an array of 1, <NA>, 3; after a
# plain list instead, the list.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import warnings

import pandas as pd
from bokeh.models import Div

warnings.simplefilter("ignore")
div = Div(tags=[{"x": [0.5, 0.25, 0.125]}])
div.tags = [{"x": pd.array([1, None, 3])}]
print("nullable:", div.tags)
div.tags = [{"x": [1, None, 3]}]
print("list:", div.tags)
PY
for release in 3.9.2 3.10.2; do
    environment "bokeh==$release" pandas==3.0.1
    echo "bokeh $release"
    "$python" show.py
done | tee "$work/seen"
cat > "$work/expected" <<'E2'
bokeh 3.9.2
nullable: [{'x': [0.5, 0.25, 0.125]}]
list: [{'x': [1, None, 3]}]
bokeh 3.10.2
nullable: [{'x': [0.5, 0.25, 0.125]}]
list: [{'x': [1, None, 3]}]
E2
cmp "$work/expected" "$work/seen"
