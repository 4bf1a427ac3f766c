"""What is not as a client saw it is found, whenever the base was taken."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import Div, Slider

from service.documents import ids
from service.documents.base import Differences
from service.documents.encoding import encode_document
from service.documents.entries import Base
from service.documents.losses import Losses


def built() -> Document:
    """What an app's run makes: the same ids each time."""
    ids.install()
    space = ids.IdSpace("session")
    token = ids.current_ids.set(space)
    try:
        document = ids.new_document(space)
        document.add_root(column(Slider(start=0, end=9, value=1, name="slider"), name="column"))
        return document
    finally:
        ids.current_ids.reset(token)


def test_a_base_with_models_that_came_later() -> None:
    used = built()
    used.get_model_by_name("slider").value = 5  # type: ignore[union-attr]
    used.get_model_by_name("column").children.append(Div())  # type: ignore[union-attr]
    base = Base(*encode_document(used, inline=False))

    noted = [(used.get_model_by_name("column").id, "children")]  # type: ignore[union-attr]
    differences = Differences(built(), base, noted=noted, losses=Losses())
    found = [(model.name, attr, value) for model, attr, value in differences]

    assert found == [("slider", "value", 5)]
