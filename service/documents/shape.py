"""The shape of a Document: which models the app's own run made, in order, and of which types.

Two runs with the same shape have the same model ids for the same things, so what was noted of
one run can be laid over another.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

from bokeh.core.serialization import Deserializer
from bokeh.document import Document
from bokeh.model import Model

from service.documents.ids import IdSpace

__all__ = ("extensions_of", "known_as", "model_class", "same_in_each_run", "shape_of", "type_name")

_RUN = re.compile(r"^bokeh_app_[0-9a-z_]+\.")
"""Each run of a script has a module name of its own: bokeh 3.9's, or :mod:`service.documents.classes`'s,
which is another one while the same session's last run still lives in this process."""

_MEMORY_ADDRESS = re.compile(r"(?:^|-)\d{9,}$")
"""With these Panel (1.9 and 1.10) names the roots of its templates: another one in each run."""


def type_name(model: Model) -> str:
    """The model's qualified type; the same for each run when the app's script defines it."""
    return same_in_each_run(str(model.__qualified_model__))


def known_as(model: Model) -> str | None:
    """By what another version of the app knows this model: its name, else its title or label.

    These are what Panel's widgets are named by.
    """
    if model.name and not _MEMORY_ADDRESS.search(model.name):
        return model.name
    attr = _attribute_with_title(type(model))
    title = None if attr is None else getattr(model, attr)
    return title if isinstance(title, str) and title else None


@lru_cache(maxsize=1024)
def _attribute_with_title(cls: type[Model]) -> str | None:
    """By class: asked for what it lacks, a model looks for similar names (bokeh 3.9 and 3.10): 0.1 ms."""
    return next((attr for attr in ("title", "label") if attr in cls.properties()), None)


def same_in_each_run(name: str) -> str:
    """The name of a type, without what tells runs of the app's script apart."""
    return _RUN.sub("bokeh_app.", name) if name.startswith("bokeh_app_") else name


def model_class(name: str, document: Document) -> type[Model]:
    """The class behind :func:`type_name`, as this run of the app defines it.

    Raises ``bokeh.core.serialization.DeserializationError`` when there is none.
    """
    prefix, _, rest = name.partition(".")
    if prefix == "bokeh_app":
        for module in document.modules._modules:
            found = getattr(module, rest, None)
            if isinstance(found, type) and issubclass(found, Model):
                return found
    return Deserializer()._resolve_type(name)


def shape_of(document: Document, ids: IdSpace) -> str:
    """A digest over ids and types of the models in ``document`` that have ids of ``ids``."""
    digest = blake2b(digest_size=12)
    own = ((ids.number(model.id), model) for model in document.models)
    for number, model in sorted((pair for pair in own if pair[0]), key=lambda pair: pair[0]):
        digest.update(f"{number}:{type_name(model)};".encode())
    return digest.hexdigest()


def extensions_of(document: Document) -> set[str]:
    """The top-level packages, Bokeh's apart, whose models the Document has."""
    names = {type(model).__view_module__.partition(".")[0] for model in document.models}
    return {name for name in names if name != "bokeh" and not name.startswith("bokeh_app_")}
