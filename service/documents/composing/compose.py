"""Base and journal of a session, put together to what a page is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.documents.composing.parts import Nester, Part, take_apart
from service.documents.composing.reasons import Reason
from service.documents.composing.rows import with_chunks
from service.documents.composing.values import Binaries, Values
from service.documents.encoding import Buffers, to_json
from service.documents.entries import PULLABLE, Base, Chunk, Stored, kind_of
from service.documents.exact import columns_of, read_exactly
from service.documents.shape import same_in_each_run
from service.documents.translation import is_foreign
from service.documents.value_errors import value_errors
from service.errors import NotComposable
from store.contract import JournalFields
from store.errors import RecordError
from store.pieces import Pieces

__all__ = ("Composed", "Reason", "check", "compose")

_READ = frozenset({"base", "exact", "meta", "v", "m", "c", "w", "js", "classes"})
_UNSEEN = "no page has seen the Document yet"
_OTHERS = frozenset({"p", "a", "h", "k"})
"""Fields that say nothing of what pages are sent."""

_MADE_ANEW = frozenset({"-made", "-unseen"})
"""What :mod:`service.apps.panel_objects` keeps of rows, tabs and messages that come back as new models."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The content of a PULL-DOC-REPLY, and its buffers."""

    content: str
    buffers: Buffers
    roots: frozenset[str]
    """Their ids."""
    periodic: bool
    """Whether the session has periodic callbacks, which nobody runs until it is live."""


def check(fields: Mapping[str, bytes | Pieces], *, version: str) -> None:
    """A quick look at whether pages may be shown what :func:`compose` gives before the app has run.

    Raises NotComposable if it surely cannot be composed, or if the session surely comes back as another one:
    what a user did to what was shown would be lost.
    """
    _look_at(fields)
    try:
        known = {name: data for name, data in fields.items() if kind_of(name) in {"meta", "p"}}
        stored = _fits(Stored.unpack(known), version)
    except RecordError as error:
        raise NotComposable(Reason.DAMAGED, str(error)) from error
    if any(not _MADE_ANEW.isdisjoint(kept) for kept in stored.objects.values()):
        raise NotComposable(Reason.RENEWED, "what Panel added at run time comes back as new models")
    if "base" not in fields:
        raise NotComposable(Reason.UNSEEN, _UNSEEN)


def compose(fields: Mapping[str, bytes | Pieces], *, version: str, inline: bool) -> Composed:
    """What the live Document of the session with these ``fields`` in the store would answer to a pull.

    ``version`` is that of the app's code; ``inline`` puts binary data into the JSON, as
    :func:`service.documents.encoding.encode_document` does. Raises NotComposable. Looks at nothing of the
    context or the event loop, so that any thread may call it.
    """
    stored, base = _readable(fields, version)
    try:
        return _Composer(stored, base, inline=inline).composed()
    except NotComposable:
        raise
    except value_errors() as error:
        # Damaged data ends in all kinds of errors, also of numpy, pandas and others.
        raise NotComposable(Reason.DAMAGED, f"it does not fit together: {error!r:.200}") from error


def _readable(fields: Mapping[str, bytes | Pieces], version: str) -> tuple[Stored, Base]:
    _look_at(fields)
    try:
        known = {name: data for name, data in fields.items() if kind_of(name) in _READ}
        stored = _fits(Stored.unpack(known), version)
    except RecordError as error:
        raise NotComposable(Reason.DAMAGED, str(error)) from error
    if stored.base is None:
        raise NotComposable(Reason.UNSEEN, _UNSEEN)
    if stored.damaged:
        raise NotComposable(Reason.DAMAGED, f"fields that cannot be read: {sorted(stored.damaged)!r:.200}")
    return stored, stored.base


def _look_at(fields: Mapping[str, bytes | Pieces]) -> None:
    if isinstance(fields, JournalFields) and fields.damage:
        raise NotComposable(Reason.DAMAGED, fields.damage)
    unknown = {kind_of(name) for name in fields} - _READ - _OTHERS
    if unknown:
        raise NotComposable(Reason.RELEASE, f"fields of an unknown kind: {sorted(unknown)!r:.80}")


def _fits(stored: Stored | None, version: str) -> Stored:
    if stored is None:
        raise NotComposable(Reason.UNSEEN, _UNSEEN)
    if is_foreign(stored):
        raise NotComposable(Reason.VERSIONS, f"it was made with {stored.meta.made_with or 'an older Bokeh'}")
    if stored.meta.version != version and not stored.meta.pushed:
        raise NotComposable(Reason.CODE, "the app's code is another one by now")
    if stored.meta.pullable != PULLABLE:
        raise NotComposable(
            Reason.RELEASE, "it was written by a release that does not keep all that pages are sent"
        )
    return stored


class _Composer:
    def __init__(self, stored: Stored, base: Base, *, inline: bool) -> None:
        self._stored = stored
        self._document: dict[str, Any] = json.loads(base.content)["doc"]
        self._parts: dict[str, Part] = {}
        for name in ("config", "roots", "callbacks"):
            if name in self._document:
                self._document[name] = take_apart(self._document[name], self._parts)
        types = (stored.classes.get(whole.type, whole.type) for whole in stored.models.values())
        names = {*self._types(), *types}
        if any(name.startswith("ipywidgets_bokeh.") for name in names):
            raise NotComposable(Reason.VALUE, "what Jupyter widgets show is asked of Python with each pull")
        of_panel = any(name.startswith("panel.") for name in names)
        self._binaries = Binaries(dict(base.buffers), inline=inline)
        self._values = Values(self._binaries, of_panel=of_panel)

    def composed(self) -> Composed:
        self._define()
        self._add_models()
        for (model_id, attr), value in self._stored.values.items():
            if (model_id, attr) not in self._stored.sent and (part := self._parts.get(model_id)):
                part.set(attr, self._values.encoded(value.value))
        for (model_id, attr), sent in self._stored.sent.items():
            self._send_instead(model_id, attr, sent)
        for model_id, chunks in self._stored.chunks.items():
            if model_id in self._parts:
                self._add_rows(model_id, chunks)
        self._outline()
        return self._written()

    # -- models --------------------------------------------------------------------------------

    def _types(self) -> Iterator[str]:
        return (part.type for part in self._parts.values())

    def _define(self) -> None:
        """Data models whose classes came later."""
        known = self._document.get("defs", [])
        names = set(_names(known))
        added = [
            each for each in json.loads(self._stored.definitions) if each.get("name") not in {None, *names}
        ]
        if known or added:
            self._document["defs"] = [*known, *added]

    def _add_models(self) -> None:
        """Those that came into the Document after the app's run. What the base has of them is outdated."""
        names = self._names_by_type() if self._stored.models else {}
        for model_id, whole in self._stored.models.items():
            part = self._parts[model_id] = Part(names.get(whole.type, whole.type))
            for name, value in whole.attributes.items():
                part.set(name, self._values.encoded(value))

    def _names_by_type(self) -> dict[str, str]:
        """Classes of the app's script have another name in each of its runs: pages know that of the base."""
        of_base = (name for name in (*self._types(), *_names(self._document.get("defs", []))))
        return {**self._stored.classes, **{same_in_each_run(name): name for name in of_base}}

    def _send_instead(self, model_id: str, attr: str, sent: list[Any]) -> None:
        part = self._parts.get(model_id)
        if part is not None and sent:
            part.set(attr, self._values.encoded(sent[0]))
        elif part is not None:
            part.remove(attr)

    # -- rows ----------------------------------------------------------------------------------

    def _add_rows(self, model_id: str, chunks: list[Chunk]) -> None:
        decoded = [Chunk(each.is_stream, self._values.read(each.columns), each.rollover) for each in chunks]
        changed = {name for chunk in decoded for name in chunk.columns}
        entries = dict(_entries(self._parts[model_id]))
        columns = {name: column for name, column in self._columns(model_id) if name in changed}
        for name, column in with_chunks(columns, decoded).items():
            entries[name] = self._values.encode(column)
        self._parts[model_id].set("data", {"type": "map", "entries": list(entries.items())})

    def _columns(self, model_id: str) -> Iterator[tuple[str, Any]]:
        """The columns before, as Python had them."""
        value, whole = self._stored.values.get((model_id, "data")), self._stored.models.get(model_id)
        if value is not None or whole is not None:
            recorded = value.value if value is not None else whole.attributes["data"]  # type: ignore[union-attr]
            yield from self._values.read(recorded).items()
            return
        records = columns_of((self._stored.exact or {}).get(model_id, {}).get("data"))
        for name, encoded in _entries(self._parts[model_id]):
            yield name, read_exactly(self._values.read, encoded, records.get(name))

    # -- the Document --------------------------------------------------------------------------

    def _outline(self) -> None:
        document, outline = self._document, self._stored.meta.outline
        if outline is not None:
            document["title"], roots = outline
            document["roots"] = [{"id": model_id} for model_id in roots]
        if self._stored.js_callbacks is not None:
            document["callbacks"] = take_apart(json.loads(self._stored.js_callbacks), self._parts)

    def _written(self) -> Composed:
        nested = Nester(self._parts, self._binaries.send).nested
        roots = frozenset(root["id"] for root in self._document["roots"])
        # In the order in which Bokeh (3.9 and 3.10) writes them: the first one that meets a model has it.
        for name in ("config", "roots", "callbacks"):
            if name in self._document:
                self._document[name] = nested(self._document[name])
        content = to_json({"doc": self._document})
        return Composed(content, list(self._binaries.sent.items()), roots, self._stored.meta.periodic)


def _entries(source: Part) -> Any:
    return source.attributes["data"].get("entries", ())


def _names(definitions: Any) -> Iterator[str]:
    """Of data models; what they extend may be defined within."""
    for each in definitions:
        if isinstance(each, dict) and "name" in each:
            yield str(each["name"])
            yield from _names([each.get("extends")])
