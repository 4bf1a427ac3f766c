import panel as pn


def dashboard():
    pn.extension()
    text = pn.pane.Str("waiting")
    pn.state.onload(lambda: setattr(text, "object", "loaded"))
    return pn.Column(text, pn.panel(lambda: "deferred content", defer_load=True))
