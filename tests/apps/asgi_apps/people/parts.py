from pathlib import Path

import panel as pn

HERE = Path(__file__).parent


class Page(pn.template.FastListTemplate):
    """With a style sheet of its own, which is fetched from the server."""

    _css = [*pn.template.FastListTemplate._css, HERE / "people.css"]
