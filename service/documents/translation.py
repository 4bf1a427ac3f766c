"""A journal that other versions of Bokeh or of an extension have written, made one of this replica's.

While an image is rolled out a session may be restored by a replica with another Bokeh or Panel. The app's
code is the same there, but what Panel builds of it is not: models come and go between releases, and with them
the ids of all that follow. So each model of the stored Document is matched with one of the new Document, by
its name or by its place among those of its type. What the user has set is carried over one property after the
other; what this version has no place for is a loss, named in words, and nothing else suffers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bokeh.core.serialization import DeserializationError
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from service.documents.attributes import property_of
from service.documents.encoding import encode_document
from service.documents.entries import Base, Stored, Value, WholeModel
from service.documents.extensions import installed_versions, made_with
from service.documents.ids import IdSpace
from service.documents.shape import extensions_of, model_class, same_in_each_run, shape_of, type_name
from service.documents.values import ValueReader
from service.page_versions import LEGACY, PageVersions

__all__ = ("Translation", "is_foreign", "translated")

IDS_PER_INPUT = 1000
"""Ids for the models that callbacks of one replayed input make: how many, differs between versions."""

_RENDERING = frozenset({"css_classes", "css_variables", "elements", "styles", "stylesheets", "tags"})
"""Attributes that belong to the version that draws, not to the app's data."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The journal in terms of the new Document, and what had to be left out."""

    stored: Stored
    losses: list[str]
    """What the user will miss, in words."""
    dropped: list[str]
    """Other values that this version has no place for."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model of the stored Document."""

    id: str
    number: int
    type: str
    name: str | None
    attributes: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What the user sees beside it, if that is known."""
        shown = self.attributes.get("title") or self.attributes.get("label")
        return shown if isinstance(shown, str) else ""


def is_foreign(stored: Stored) -> bool:
    """Whether other versions than those of this process wrote the journal.

    One that does not say is from a release that ran on bokeh 3.9 alone, with the extensions of that time.
    """
    here, there = made_with(), stored.meta.made_with
    return LEGACY.line != here.line if not there else not PageVersions.from_text(there).made_as(here)


def translated(stored: Stored, document: Document, ids: IdSpace) -> Translation:
    """``stored`` for ``document``, which the same code of the app has just built here."""
    return _Translator(stored, document, ids).translate()


@dataclass(slots=True)
class _Translator:
    stored: Stored
    document: Document
    ids: IdSpace
    losses: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    match: dict[str, str] = field(default_factory=dict)
    """Ids of then to ids of now."""
    then: dict[str, StoredModel] = field(default_factory=dict)
    later: bool = False
    """Whether models that came after the app's run are kept: what callbacks make differs between releases
    of an extension, but not between those of Bokeh."""

    def translate(self) -> Translation:
        stored, shape = self.stored, shape_of(self.document, self.ids)
        self.then = {made.id: made for made in self._made_then()}
        same_shape = stored.meta.shape == shape
        self.later = same_shape and not extensions_of(self.document) & installed_versions().keys()
        self.match = self._identity() if same_shape else self._matches()
        models = self._models() if self.later else {}
        self.match |= {model_id: model_id for model_id in models}
        values = self._values()
        result = replace(
            stored,
            meta=replace(
                stored.meta,
                shape=shape,
                made_with=made_with().text,
                initial=self.ids.count,
                ids=max(stored.meta.ids, self.ids.count) if self.later else self.ids.count,
                ready=None if stored.meta.ready is None else min(stored.meta.ready, self.ids.count),
                roots=self._roots(),
            ),
            base=self._base(),
            exact=None,
            values=values,
            models=models,
            chunks=self._chunks(),
            history={},
            callbacks=stored.callbacks if self.later else {},
            sizes={},
        )
        return Translation(result, self.losses, self.dropped)

    # -- which model is which ------------------------------------------------------------------

    def _made_then(self) -> Iterator[StoredModel]:
        """The models that the app's run made, as a client first saw them."""
        if self.stored.base is None:
            return
        for found in _objects(json.loads(self.stored.base.content)["doc"]):
            attributes = found.get("attributes", {})
            number, type_ = self.ids.number(found["id"]), same_in_each_run(found["name"])
            if 0 < number <= self.stored.meta.initial:
                yield StoredModel(found["id"], number, type_, attributes.get("name"), attributes)

    def _identity(self) -> dict[str, str]:
        return {model.id: model.id for model in self.document.models}

    def _matches(self) -> dict[str, str]:
        """By name, then by place among those of a type, where there are as many, labelled alike."""
        now = sorted(self.document.models, key=lambda model: self.ids.number(model.id))
        then_by_type, now_by_type = defaultdict(list), defaultdict(list)
        for made in sorted(self.then.values(), key=lambda made: made.number):
            then_by_type[made.type].append(made)
        for model in now:
            if self.ids.number(model.id):
                now_by_type[type_name(model)].append(model)
        match: dict[str, str] = {}
        for type_, olds in then_by_type.items():
            match |= _matched(olds, now_by_type[type_])
        return match

    # -- parts of the journal ------------------------------------------------------------------

    def _values(self) -> dict[tuple[str, str], Value]:
        values: dict[tuple[str, str], Value] = {}
        inputs = 0
        for (model_id, attr), value in sorted(self.stored.values.items(), key=lambda item: item[1].sequence):
            found = self._value(model_id, attr, value)
            if found is None:
                continue
            if value.is_input and not self.later and found.ids_before >= 0:
                inputs += 1
                found.ids_before = self.ids.count + inputs * IDS_PER_INPUT
            values[self.match[model_id], attr] = found
        return values

    def _value(self, model_id: str, attr: str, value: Value) -> Value | None:
        """None where this version has no place for it, which is noted."""
        made = self.then.get(model_id)
        about = f"{attr} of {value.type.rpartition('.')[2]} {value.name or (made and made.label) or model_id}"
        if model_id not in self.match:
            # What callbacks made, they make again.
            if not self.ids.is_of_input(model_id) and self.ids.number(model_id) <= self.stored.meta.initial:
                self._lose(f"{about}: the app has no such part any more", noticed=value.is_input)
            return None
        try:
            return replace(value, value=self._decodable(self.match[model_id], attr, value.value))
        except _Untranslatable as unfit:
            self._lose(f"{about}: {unfit}", noticed=value.is_input)
            return None

    def _decodable(self, model_id: str, attr: str, value: Any) -> Any:
        """The value with ids of now. Raises _Unfit if the model does not take it here."""
        encoded = self._with_ids_of_now(value)
        model = self.document.models.get_by_id(ID(model_id))
        if model is None:  # one that came later, and is made anew from its attributes
            return encoded
        if attr not in model.properties():
            raise _Untranslatable("this version does not know it")
        if not _has_references(encoded):
            _check(model, attr, encoded)
        return encoded

    def _with_ids_of_now(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._with_ids_of_now(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"id"} and isinstance(value["id"], str):
            if value["id"] not in self.match:
                raise _Untranslatable("it refers to a part that is made anew")
            return {"id": self.match[value["id"]]}
        return {key: self._with_ids_of_now(item) for key, item in value.items()}

    def _models(self) -> dict[str, WholeModel]:
        """Models that came later, as far as their classes and attributes are known here."""
        models: dict[str, WholeModel] = {}
        for model_id, whole in self.stored.models.items():
            try:
                known = model_class(whole.type, self.document).properties()
            except DeserializationError as error:
                self._lose(f"{whole.type.rpartition('.')[2]}: {error}", noticed=True)
                continue
            unknown = sorted(whole.attributes.keys() - known)
            self.dropped += [f"{name} of {whole.type}: this version does not know it" for name in unknown]
            attributes = {name: item for name, item in whole.attributes.items() if name in known}
            models[model_id] = WholeModel(whole.type, attributes)
        return models

    def _chunks(self) -> dict[str, list[Any]]:
        chunks: dict[str, list[Any]] = {}
        for model_id, added in self.stored.chunks.items():
            if model_id in self.match:
                chunks[self.match[model_id]] = added
            elif model_id in self.then:
                name = self.then[model_id].name or model_id
                self._lose(f"rows added to {name}: the app has no such part any more", noticed=True)
        return chunks

    def _roots(self) -> list[str] | None:
        roots = self.stored.meta.roots
        if roots is None or not self.later or any(root not in self.match for root in roots):
            return None
        return [self.match[root] for root in roots]

    def _base(self) -> Base | None:
        """The new Document with the data of the stored one: what the app drew at random, say."""
        if self.stored.base is None:
            return None
        content, buffers = encode_document(self.document, inline=False)
        described = json.loads(content)
        olds = {new: self.then[old] for old, new in self.match.items() if old in self.then}
        for found in _objects(described["doc"]):
            made = olds.get(found["id"])
            if made is not None and _has_data(found["name"]):
                found.setdefault("attributes", {}).update(_data_of(made, found.get("attributes", {})))
        renamed = [(f"{_STORED}{ident}", data) for ident, data in self.stored.base.buffers]
        return Base(json.dumps(described), [*buffers, *renamed])

    def _lose(self, what: str, *, noticed: bool) -> None:
        (self.losses if noticed else self.dropped).append(what)


class _Untranslatable(Exception):
    """A value that has no place here; the text says why."""


_STORED = "stored-"
"""Before the ids of the stored base's buffers, which the new Document's may have, too."""


def _matched(olds: list[StoredModel], models: list[Model]) -> dict[str, str]:
    match: dict[str, str] = {}
    for made in list(olds):
        same = [model for model in models if made.name is not None and model.name == made.name]
        if len(same) == 1 and sum(each.name == made.name for each in olds) == 1:
            match[made.id] = same[0].id
    left = [made for made in olds if made.id not in match]
    free = [model for model in models if model.id not in match.values()]
    if len(left) == len(free):
        match |= {made.id: model.id for made, model in zip(left, free, strict=True) if _alike(made, model)}
    return match


def _alike(made: StoredModel, model: Model) -> bool:
    label = property_of(model, "title") or property_of(model, "label")
    return not made.label or not isinstance(label, str) or label == made.label


def _check(model: Model, attr: str, encoded: Any) -> None:
    try:
        value = ValueReader(()).decode(encoded)
        valid = model.lookup(attr).property.is_valid(value)
    except Exception as error:  # whatever a property of an extension raises
        raise _Untranslatable(str(error)) from error
    if not valid:
        raise _Untranslatable("this version does not take its value")


def _has_references(value: Any) -> bool:
    match value:
        case list():
            return any(map(_has_references, value))
        case dict():
            return "id" in value or any(map(_has_references, value.values()))
    return False


def _has_data(type_: str) -> bool:
    """Models of Bokeh: those of extensions hold code and addresses of files of their version, too."""
    return "." not in type_ and type_ != "ImportedStyleSheet"


def _data_of(made: StoredModel, now: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that are set in both, and lead to no other model."""
    return {
        name: _renamed(value)
        for name, value in made.attributes.items()
        if name in now and name not in _RENDERING and not any(True for _ in _objects(value)) and _free(value)
    }


def _free(value: Any) -> bool:
    """Whether no model is referred to. Buffers have ids, too, within ``bytes``."""
    match value:
        case list():
            return all(map(_free, value))
        case {"type": "bytes"}:
            return True
        case dict():
            return "id" not in value and all(map(_free, value.values()))
    return True


def _renamed(value: Any) -> Any:
    match value:
        case list():
            return [_renamed(item) for item in value]
        case {"type": "bytes", "data": {"id": ident}}:
            return {**value, "data": {"id": f"{_STORED}{ident}"}}
        case dict():
            return {key: _renamed(item) for key, item in value.items()}
    return value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All models that are described in a Document's JSON."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    elif isinstance(value, dict):
        if value.get("type") == "object" and "id" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
