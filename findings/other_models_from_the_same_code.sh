#!/bin/sh
# panel 1.9.4 with bokeh 3.9.2, panel 1.10.0 with bokeh 3.10.2, pandas 3.0.1: the same three lines of an app become other
# Bokeh models: another number of them, and Tabulator's columns of another class. So a page of one release cannot be
# served by the other, and ids that count models mean other models.
# Seen: the types and how many of each, printed for both; they differ in the class of the table's columns.
. "$(dirname "$0")/lib.sh"
cat > "$work/show.py" <<'PY'
import warnings

warnings.simplefilter("ignore")
import pandas as pd
import panel as pn

table = pn.widgets.Tabulator(pd.DataFrame({"a": [1, 2]}))
page = pn.Column(pn.widgets.IntSlider(name="n"), pn.pane.Str("text"), table)
models = page.get_root().references()
columns = {f"{type(each).__module__}.{type(each).__name__}" for each in models if "TableColumn" in type(each).__name__
           or "TabulatorColumn" in type(each).__name__}
print("models:", len(models), "columns:", *sorted(columns))
PY
for pair in "3.9.2 1.9.4" "3.10.2 1.10.0"; do
    set -- $pair
    environment "bokeh==$1" "panel==$2" pandas==3.0.1
    echo "panel $2: $("$python" show.py 2>/dev/null)"
done | tee "$work/seen"
cat > "$work/expected" <<'E2'
panel 1.9.4: models: 19 columns: bokeh.models.widgets.tables.TableColumn
panel 1.10.0: models: 15 columns: panel.models.tabulator.TabulatorColumn
E2
cmp "$work/expected" "$work/seen"
