"""What takes a page from what it was shown of a session to what the session's live Document is.

As changes, which leave everything else on the page alone. A page that pulls anew loses what its user is
typing, and what is clicked while it has no connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bokeh.core.serialization import Serializer
from bokeh.core.types import ID
from bokeh.document import Document

from service.documents.composing.parts import Nester, Part, take_apart
from service.documents.composing.reasons import Reason
from service.documents.encoding import encode_document, to_json
from service.errors import NotComposable

__all__ = ("changes_since",)

LARGE_SHOWN = 1024 * 1024
"""Bytes of a Document as JSON above which comparing it would keep other sessions waiting."""


def changes_since(shown: str, document: Document) -> str | None:
    """The content of a PATCH-DOC; "" where nothing has changed, None where changes alone do not do.

    ``shown`` is the content of a PULL-DOC-REPLY, with binary data in the JSON. Raises NotComposable.
    """
    if len(shown) > LARGE_SHOWN:
        return None
    before = _Flat(json.loads(shown)["doc"])
    now = _Flat(json.loads(encode_document(document, inline=True)[0])["doc"])
    if not now.follows_from(before):
        return None
    try:
        events = list(_changes(before, now, document))
    except (LookupError, AttributeError) as error:
        raise NotComposable(Reason.VALUE, f"a changed value has no default: {error}") from error
    return to_json({"events": events}) if events else ""


class _Flat:
    """A Document's JSON, with its models apart."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.parts: dict[str, Part] = {}
        flat = {name: take_apart(document.get(name), self.parts) for name in ("config", "roots", "callbacks")}
        self.title: str = document["title"]
        config = self.parts.get((flat["config"] or {}).get("id", ""))
        self.fixed = [flat, config and config.attributes]
        """What no change tells pages of."""
        self.defined = {each.get("name") for each in document.get("defs", ())}

    def follows_from(self, before: _Flat) -> bool:
        """Whether it is the same Document, of which some models have other values, or are new."""
        new = {part.type for each, part in self.parts.items() if each not in before.parts}
        return (
            self.fixed == before.fixed
            and new.isdisjoint(self.defined - before.defined)
            and all(before.parts[each].type == part.type for each, part in self.known_to(before))
        )

    def known_to(self, before: _Flat) -> Iterator[tuple[str, Part]]:
        return ((each, part) for each, part in self.parts.items() if each in before.parts)


def _changes(before: _Flat, now: _Flat, document: Document) -> Iterator[dict[str, Any]]:
    nester = Nester(now.parts, lambda data: data, met=before.parts)
    for model_id, part in now.known_to(before):
        changed = _changed(model_id, before.parts[model_id].attributes, part.attributes, document)
        for attr, value in changed.items():
            new = nester.nested(value)
            yield {"kind": "ModelChanged", "model": {"id": model_id}, "attr": attr, "new": new}
    if now.title != before.title:
        yield {"kind": "TitleChanged", "title": now.title}


def _changed(
    model_id: str, before: Mapping[str, Any], now: Mapping[str, Any], document: Document
) -> dict[str, Any]:
    changed = {attr: value for attr, value in now.items() if attr not in before or before[attr] != value}
    for attr in before.keys() - now.keys():
        default = _default(model_id, attr, document)
        if default != before[attr]:
            changed[attr] = default
    return changed


def _default(model_id: str, attr: str, document: Document) -> Any:
    """The value of what is not sent, as it would be. Raises LookupError, AttributeError if there is none."""
    model = document.models[ID(model_id)]
    value = model.lookup(attr).get_value(model)
    encoded = Serializer(references=set(document.models), deferred=False).encode(value)
    return json.loads(to_json(encoded))
