"""Nothing in the text of this app says what it imports."""

from importlib import import_module

pn = import_module("".join(["pa", "nel"]))
pn.extension(notifications=True)
wanted = pn.state.location.query_params["id"]
shown = pn.pane.Str("loading")
pn.state.onload(lambda: setattr(shown, "object", "loaded"))
pn.template.FastListTemplate(
    title="by name",
    main=[pn.pane.Str(f"report {wanted}"), shown, pn.panel(lambda: "deferred content", defer_load=True)],
).servable()
