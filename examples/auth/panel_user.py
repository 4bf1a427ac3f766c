"""Who has logged in through one of Panel's own logins, with any of these:

svc serve --basic-auth "open sesame" examples/auth/panel_user.py
svc serve --oauth-provider github --oauth-key ... --oauth-secret ... examples/auth/panel_user.py
"""

import panel as pn

pn.extension()

about = pn.state.user_info or {}
pn.Column(
    f"# Hello, {pn.state.user}!",
    pn.pane.JSON({name: str(value) for name, value in about.items()}, depth=-1),
    pn.pane.HTML('<a href="logout">Log out</a>'),
).servable(title="Who am I?")
