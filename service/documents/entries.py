"""The fields of a stored journal: their names and what is in them.

::

    base            the first pull's JSON and buffers: data the app drew at random, say
    exact           what that encoding loses: 64-bit integers, times, columns of pandas
    meta            id counter, shape, title, roots, theme
    v:<id>:<attr>   a changed attribute
    m:<id>          a model that came into the Document after the build
    c:<id>:<n>      what was streamed into, or patched in, a data source
    p:<id>          parameters, and edits, of the object (Panel's) behind a model that changed
    a:<key>         the app's own state
    h:<n>           an input that made controls with Python callbacks, or took some away
    k:<id>          the Python callbacks that a model got after the build
    w:<id>:<attr>   what clients are sent of a changed attribute, where that is not its value
    js              the Document's own JavaScript callbacks, where they are not those of the base
    classes         names and definitions of classes of models that came later, where pages need them

Restoring reads none of the last three, which are there so that a pull can be answered from a journal alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.documents.encoding import Buffers
from service.documents.unpacking import MAX_RECORD_BYTES, inflate
from store.errors import RecordError
from store.records import Packed, as_payload, pack_entry, unpack_entry

__all__ = (
    "PULLABLE", "Base", "Chunk", "Meta", "PastInput", "Stored", "Value", "WholeModel", "as_read_back",
    "kind_of",
)  # fmt: skip

PULLABLE = 1
"""Of :attr:`Meta.pullable`: which of the fields that only a pull needs a journal has."""


@dataclass(frozen=True, slots=True)
class Base:
    """A Document as a client first saw it."""

    content: str
    buffers: Buffers

    def pack(self) -> Packed:
        """Raises :class:`store.errors.RecordError` for one that :meth:`unpack` would refuse."""
        text = self.content.encode("utf-8", "surrogatepass")
        if len(text) > MAX_RECORD_BYTES:
            raise RecordError(f"a Document of {len(text)} bytes is not kept")
        buffers = [[id_, as_payload(data)] for id_, data in self.buffers]
        return pack_entry([zlib.compress(text, 1), buffers])

    @classmethod
    def unpack(cls, data: Packed) -> Base:
        compressed, buffers = unpack_entry(data)
        content = inflate(compressed, most=MAX_RECORD_BYTES).decode("utf-8", "surrogatepass")
        return cls(content, [(id_, payload) for id_, payload in buffers])


@dataclass(slots=True)
class Value:
    """A changed attribute of a model."""

    sequence: int
    """Inputs are replayed in the order of this."""
    is_input: bool
    """Last set by a client, so that restoring runs the app's callbacks for it."""
    ids_before: int
    """The id counter when an input came: its callbacks then make models with the same ids again."""
    type: str
    name: str | None
    """By what another version of the app knows the model."""
    value: Any

    def place(self, model_id: str, attr: str) -> str:
        """Where it is, as the app's author knows it."""
        return f"{attr} of {self.type.rpartition('.')[2]} {self.name or model_id}"

    def pack(self) -> Packed:
        return pack_entry([self.sequence, self.is_input, self.ids_before, self.type, self.name, self.value])


@dataclass(frozen=True, slots=True)
class WholeModel:
    """A model with all attributes it has set."""

    type: str
    attributes: Mapping[str, Any]

    def pack(self) -> Packed:
        return pack_entry([self.type, self.attributes])


@dataclass(frozen=True, slots=True)
class Chunk:
    """One ``stream`` (with ``rollover``) or ``patch`` of a data source's columns."""

    is_stream: bool
    columns: Any
    rollover: int | None = None


@dataclass(slots=True)
class PastInput:
    """An input of a client that is repeated after a move, because it made controls with Python callbacks."""

    values: list[list[Any]]
    """What clients had set since the entry before, and this input: model id, attribute, sequence, id counter
    before, value."""
    events: list[list[Any]]
    """Id counter before, event; or a message of another type, with the place that it sets."""
    wired: list[str]
    """Ids of the models that got callbacks."""
    state: dict[str, bytes | None]
    """What of the app's own state was another one before this input than before the last: packed, by key;
    None for what was not there."""

    @property
    def place(self) -> list[list[str]]:
        """What the input itself set; empty where it told of events."""
        if not self.events:
            return [value[:2] for value in self.values[-1:]]
        places = [event.get("place") if isinstance(event, dict) else None for _, event in self.events]
        return [list(place) for place in places if place] if all(places) else []

    def pack(self) -> Packed:
        return pack_entry([self.values, self.events, self.wired, self.state])


@dataclass(slots=True)
class Meta:
    """What there is to know about a Document besides its models. None: as the app made it."""

    ids: int = 0
    """The id counter."""
    initial: int = 0
    """The id counter after the app's run."""
    shape: str = ""
    version: str = ""
    """Of the app's code."""
    pushed: bool = False
    """A client pushed the Document, so there is no app's run to repeat."""
    ready: int | None = None
    """The id counter when a page said that it is drawn; it says so once, and not again after a move."""
    title: str | None = None
    roots: list[str] | None = None
    theme: Any = None
    made_with: str = ""
    """The Bokeh and the extensions that the Document is made with (:class:`PageVersions` as text)."""
    pullable: int = 0
    """:data:`PULLABLE` when all that wrote since the base kept what a pull needs. Releases that do not leave
    this out whenever they write."""
    periodic: bool = False
    """Whether the app has periodic callbacks, for which a session has to be live."""
    outline: list[Any] | None = None
    """Title and roots, once either has changed; the base and what the app's run made may differ in them."""

    def pack(self) -> Packed:
        # Not asdict: it copies deeply, and this is written with nearly every change.
        return pack_entry({name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(slots=True)
class Stored:
    """A whole journal, unpacked."""

    meta: Meta
    base: Base | None = None
    exact: Mapping[str, Mapping[str, Any]] | None = None
    """Besides the base: see :mod:`service.documents.exact`. None: written by a release without it."""
    values: dict[tuple[str, str], Value] = field(default_factory=dict)
    """By model id and attribute."""
    models: dict[str, WholeModel] = field(default_factory=dict)
    chunks: dict[str, list[Chunk]] = field(default_factory=dict)
    """By model id, oldest first."""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Parameters of the objects behind models, by model id."""
    state: dict[str, Any] = field(default_factory=dict)
    history: dict[int, PastInput] = field(default_factory=dict)
    """By number, oldest first."""
    callbacks: dict[str, list[Any]] = field(default_factory=dict)
    """By model id; see :mod:`service.documents.wiring`."""
    sent: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """By model id and attribute, what clients are sent in the place of its value: in a list; an empty one:
    nothing."""
    js_callbacks: str | None = None
    """JSON, with models that are nowhere else in it."""
    classes: dict[str, str] = field(default_factory=dict)
    """:func:`service.documents.shape.type_name` to the name that pages know."""
    definitions: str = "[]"
    """Of data models, as JSON."""
    sizes: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    """Fields of single values that cannot be read, and why."""

    @classmethod
    def unpack(cls, fields: Mapping[str, Packed]) -> Stored | None:
        """None when there is no journal worth restoring.

        Raises :class:`store.errors.RecordError` when what holds the Document together is damaged.
        """
        if "meta" not in fields:
            return None
        try:
            stored = cls(Meta(**_known(unpack_entry(fields["meta"]))))
            for name in sorted(fields):
                stored._add_or_note(name, fields[name])
        except (AttributeError, TypeError, ValueError, zlib.error) as error:
            raise RecordError(f"a stored journal is damaged: {error}") from error
        return stored

    def forget_inputs(self) -> None:
        """From here on what clients set are values like others, whose callbacks do not run again."""
        for value in self.values.values():
            value.is_input = False
        self.history.clear()

    def _add_or_note(self, name: str, data: Packed) -> None:
        self.sizes[name] = len(data)
        try:
            self._add(name, data)
        except (RecordError, AttributeError, TypeError, ValueError) as error:
            if kind_of(name) not in _SINGLE:
                raise
            self.damaged[name] = str(error)

    def _add(self, name: str, data: Packed) -> None:
        _, _, rest = name.partition(":")
        match kind_of(name):
            case "base":
                self.base = Base.unpack(data)
            case "exact":
                self.exact = _by_model(unpack_entry(data))
            case "v":
                model_id, _, attr = rest.partition(":")
                self.values[model_id, attr] = Value(*unpack_entry(data))
            case "m":
                self.models[rest] = WholeModel(*unpack_entry(data))
            case "c":
                chunks = [Chunk(*chunk) for chunk in unpack_entry(data)]
                self.chunks.setdefault(rest.partition(":")[0], []).extend(chunks)
            case "p":
                self.objects[rest] = unpack_entry(data)
            case "a":
                self.state[rest] = unpack_entry(data)
            case "h":
                self.history[int(rest)] = PastInput(*unpack_entry(data))
            case "k":
                self.callbacks[rest] = unpack_entry(data)
            case "w":
                model_id, _, attr = rest.partition(":")
                self.sent[model_id, attr] = list(unpack_entry(data))
            case "js":
                self.js_callbacks = str(unpack_entry(data))
            case "classes":
                classes, definitions = unpack_entry(data)
                self.classes, self.definitions = dict(classes), str(definitions)


_SINGLE = frozenset({"exact", "v", "c", "p", "a", "h", "k", "w", "js", "classes"})
"""Fields that cost nothing but what is in them."""


def kind_of(name: str) -> str:
    """The kind of the field of this name."""
    return name.partition(":")[0]


def as_read_back(exact: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """With tuples, views and payloads as they come out of the store, so that both can be compared."""
    return _by_model(unpack_entry(pack_entry(exact)))


def _by_model(found: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise RecordError("it has the wrong type")
    return found


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a later release added is nothing to us."""
    return {name: value for name, value in fields.items() if name in Meta.__dataclass_fields__}
