import os

import panel as pn

pn.extension()
text = pn.pane.Str("waiting")
pn.state.onload(lambda: setattr(text, "object", f"loaded by {len(str(os.getpid())) > 0}"))
pn.Column(text, pn.panel(lambda: "deferred content", defer_load=True)).servable()
