"""Which report is shown depends on the URL, as the app reads it while it is built."""

import panel as pn

pn.extension()
wanted = pn.state.location.query_params.get("id")
page = pn.pane.Str(f"report {wanted}" if wanted else "no report chosen")
pn.state.location.update_query(tab="a")
pn.Column(page, pn.pane.Str(f"at {pn.state.location.pathname} {pn.state.location.search}")).servable()
