"""What changed in a Document since its app built it, taken as fields for the store.

Events mark attributes as dirty; values are read when the fields are taken, so many changes of one
attribute cost one write. What is streamed into columns is noted as it comes. The fields are
described in :mod:`service.documents.entries`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import (
    ColumnDataChangedEvent,
    ColumnsPatchedEvent,
    ColumnsStreamedEvent,
    DocumentPatchedEvent,
    MessageSentEvent,
    ModelChangedEvent,
    RootAddedEvent,
    RootRemovedEvent,
    TitleChangedEvent,
)
from bokeh.events import ModelEvent
from bokeh.model import Model

from service.documents.base import themed
from service.documents.copies import Copies
from service.documents.encoding import Buffers, encode_definitions, encode_document, encode_js_callbacks
from service.documents.entries import PULLABLE, Base, Meta, PastInput, Stored, Value, WholeModel
from service.documents.exact import Exact, exact_values
from service.documents.extensions import made_with
from service.documents.history import History, write_event
from service.documents.ids import IdSpace
from service.documents.losses import Losses, place_of
from service.documents.sent import CallbackIds, class_name_for_pages, js_callback_ids, sent_instead
from service.documents.shape import known_as, shape_of, type_name
from service.documents.values import lost, reason_of, write_value
from service.documents.wiring import (
    PERIODIC,
    Input,
    Wire,
    current_input,
    is_periodic,
    periodic_wires,
    wires_of,
)
from store.errors import RecordError
from store.records import Packed, pack_entry

__all__ = ("Changes", "Journal", "Objects")


class Objects(Protocol):
    """The objects (Panel's) behind models."""

    def patched(self, source: Model, patches: Mapping[str, Iterable[Any]]) -> None:
        """A client changes single values of a data source."""

    def received(self, document: Document, kind: str, data: Any) -> Iterable[str]:
        """A client sends a message of that type; ids of the models that are concerned."""

    def sent(self, document: Document, kind: str, data: Any) -> Iterable[str]:
        """Clients are sent a message of that type; ids of the models that are concerned."""

    def read(self, document: Document, changed: Mapping[str, set[str]]) -> Mapping[str, Mapping[str, Any]]:
        """What is to be kept by model id, for models that changed: these of their attributes ever did."""

    def clicks(self, model: Model) -> object:
        """What the object behind a model has counted; None where nothing counts."""

    def made_anew(self, document: Document, models: set[str]) -> set[str]:
        """Those of ``models`` that come back without the input that made them."""


CHUNKS_ALLOWANCE = 64 * 1024
"""Bytes of streamed chunks kept at least, before whole columns are written in their place."""


_RowsEvent = ColumnsStreamedEvent | ColumnsPatchedEvent

_AS_IT_IS = object()
"""In the place of a value: the one that there is when it is written."""


@dataclass(slots=True)
class Changes:
    """Fields to put into the stored journal and to remove from it."""

    put: dict[str, Packed] = field(default_factory=dict)
    remove: set[str] = field(default_factory=set)
    whole: bool = False
    """The fields replace all there were."""


class Journal:
    """The journal of one Document. Made right after the app's run, before anything else happens.

    ``state`` is the app's own state, which is journaled along with the Document, ``state_before`` gives it as
    the last input found it; ``objects`` are those behind the models.
    """

    def __init__(
        self,
        document: Document,
        ids: IdSpace,
        state: Mapping[str, Any] | None = None,
        *,
        version: str = "",
        state_before: Callable[[], Mapping[str, bytes]] = dict,
        objects: Objects | None = None,
    ) -> None:
        self._document = document
        self._objects = objects
        self._state_before = state_before
        self._ids = ids
        self._meta = Meta(
            initial=ids.count, shape=shape_of(document, ids), version=version, made_with=made_with().text,
            pullable=PULLABLE,
        )  # fmt: skip
        self._built = _Outline.of(document)
        self._there = sum(1 << number for model in document.models if (number := ids.number(model.id)))
        # bokeh 3.9: recompute() makes a new dict each time, so the old one shows what came and went.
        self._seen = document.models._models
        self.has_stray_callbacks = False
        """A timer or a thread has changed the callbacks: nothing that is repeated does so again."""
        self._came: set[str] = set()
        self._left: set[str] = set()
        self._marks: dict[tuple[str, str], tuple[int, bool, int]] = {}
        self._dirty: set[tuple[str, str]] = set()
        self._shown: dict[tuple[str, str], Copies] = {}
        """What clients were sent of values that are due; held until they are taken or work begins anew."""
        self._heard: set[str] = set()
        """Models whose objects heard of an event, which may have changed those alone."""
        self._counted: dict[str, object] = {}
        """What was counted when the clicks of a model were last noted."""
        self._chunks: dict[str, list[Any]] = {}
        self._chunk_bytes: dict[str, int] = {}
        self._chunk_count = 0
        self._held_but_written: list[_RowsEvent] = []
        """Of rows that the app holds back (``Document.hold``), those that were written with whole columns."""
        self._base: Base | None = None
        self._exact: Exact = {}
        """What belongs to the base that is due."""
        self.losses = Losses()
        self._written_meta: Packed = b""
        self._outline_dirty = False
        self._whole_due = False
        self._is_another = False
        self._sequence = 0
        self._sizes: dict[str, int] = {}
        self._state = {} if state is None else state
        self._dirty_state = set(self._state)
        self._history = History(lambda model_id: document.models.get_by_id(ID(model_id)) is not None)
        self._makers: dict[Input, set[str]] = {}
        """Inputs that may belong into the history, and the models to which they gave callbacks."""
        self._removers: set[Input] = set()
        """Those that took away what others in the history had made."""
        self._own: set[str] = set()
        """Models that got callbacks of the app's, not of a library."""
        self._inputs_left: dict[tuple[str, str], Any] = {}
        """What clients had set on models that have left since: an input that is repeated may have used it."""
        self._rewired: set[str] = set()
        """Models whose Python callbacks may have changed."""
        self._wires_at: dict[str, list[Wire]] = {}
        """Of models that inputs gave callbacks: as they were then, as the values around them may change."""
        self._wired: set[str] = set()
        """Those of which the store has the callbacks."""
        self._outline_moved = False
        self._js_callbacks: CallbackIds | None = js_callback_ids(document)
        """As the base or what is kept beside it has them; None where that is not known."""
        self._classes: dict[str, str] = {}
        """Of models that came later, as far as pages have to be told of them."""

    # -- noting --------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether there is anything to take."""
        return (
            bool(self._dirty or self._chunks or self._dirty_state or self._came or self._left or self._heard)
            or self._base is not None
            or self._outline_dirty
            or self._whole_due
            or self._history.dirty
            or bool(self._rewired)
            or self._document.models._models is not self._seen
        )

    @property
    def as_restored_from(self) -> bool:
        """Whether pages are sent what the record has that this Document was restored from."""
        self._look()
        changed = self._dirty or self._chunks or self._came or self._left
        return not (changed or self._outline_dirty or self._is_another)

    @property
    def stored_bytes(self) -> int:
        """Size of all fields in the store, as far as known."""
        return sum(self._sizes.values())

    @property
    def has_base(self) -> bool:
        """Whether a client has seen the Document."""
        return self._base is not None or "base" in self._sizes

    def pulled(self, content: str, buffers: Buffers) -> None:
        """A client gets to see the Document like this. Only the first time counts."""
        if not self.has_base:
            self._base, self._exact = Base(content, buffers), exact_values(self._document, self.losses)
            # The base has what was streamed by now: to replay that over it would double it.
            for model_id in self._chunks.keys() | self._chunk_bytes.keys():
                self._mark_columns(model_id)
            self._chunks.clear()
            self._note_written()
            self._js_callbacks = js_callback_ids(self._document)

    def pushed(self) -> None:
        """A client replaced the whole Document: from here on there is no app's run to repeat."""
        self._meta.pushed = True
        self._whole_due = True

    def lost(self, *, is_another: bool = False) -> None:
        """The store may lack any of the fields: write all of them the next time.

        ``is_another`` says that the Document is not the one of the record that it was restored from.
        """
        self._whole_due = True
        self._is_another |= is_another

    def note(self, event: DocumentPatchedEvent, *, is_input: bool, ids_before: int) -> None:
        """The Document changed; ``is_input`` when a client did it."""
        self._look()
        match event:
            case ModelChangedEvent() | ColumnDataChangedEvent():
                self._mark(event.model.id, event.attr, is_input, ids_before)
                source = current_input.get()
                if source is not None:
                    self.note_clicks(source)
                if is_input and source is not None:
                    value = getattr(event, "new", _AS_IT_IS)
                    source.values.append((event.model.id, event.attr, self._sequence, ids_before, value))
                if is_input and event.model.id not in self._seen:  # its own callbacks came first
                    self._keep_input(event.model, event.attr)
            case ColumnsStreamedEvent():
                self._note_chunk(event, event.data, [True, None, event.rollover])
            case ColumnsPatchedEvent():
                if is_input and self._objects is not None:
                    self._objects.patched(event.model, event.patches)
                self._note_chunk(event, event.patches, [False, None])
            case RootAddedEvent() | RootRemovedEvent() | TitleChangedEvent():
                self._outline_dirty = self._outline_moved = True
            case MessageSentEvent(msg_data=ModelEvent(model=Model() as model)):
                self._note_told(model)
            case MessageSentEvent(msg_type=str(kind), msg_data=data) if self._objects is not None:
                self._heard.update(self._objects.sent(self._document, kind, data))

    def _note_told(self, model: Model) -> None:
        """Clients are told of the model by an event: its properties may have been set past Bokeh's setters.

        Panel (1.9 and 1.10) does that with texts that grow, which it sends as ``HTMLStreamEvent``.
        """
        for attr in model._property_values:  # bokeh 3.9 and 3.10
            self._marks.setdefault((model.id, attr), (self._sequence, False, 0))
            self._dirty.add((model.id, attr))

    def shown(self, event: DocumentPatchedEvent, copies: Copies) -> None:
        """Clients are sent ``copies`` of what was just noted: arrays among it need not be copied again."""
        if len(copies) and isinstance(event, ModelChangedEvent | ColumnDataChangedEvent):
            self._shown[event.model.id, event.attr] = copies

    def work_begins(self) -> None:
        """The Document may be changed now: what clients were shown does not count any more."""
        self._shown.clear()

    def note_ready(self, ids_before: int) -> None:
        """A page is drawn (``DocumentReady``). Only the first time counts."""
        if self._meta.ready is None:
            self._meta.ready = ids_before
            self._outline_dirty = True

    def note_held(self, setter: object, ids_before: int) -> None:
        """What ``setter`` set while the document is held is acknowledged, though no event tells of it yet."""
        for event in self._document.callbacks._held_events:  # bokeh 3.9
            if isinstance(event, ModelChangedEvent) and event.setter is setter:
                self.note(event, is_input=True, ids_before=ids_before)

    def note_clicks(self, source: Input) -> None:
        """The input told of clicks, or something that follows from it was done: noted where that counts."""
        for model_id in source.clicked if self._objects is not None else ():
            model = self._document.models.get_by_id(ID(model_id))
            if model is not None and self._objects is not None:
                counted = self._objects.clicks(model)
                if model_id not in self._counted or self._counted[model_id] != counted:
                    self._counted[model_id] = counted
                    self._heard.add(model_id)

    def note_message(self, kind: str, data: Any) -> None:
        """A client sent a message of that type."""
        if self._objects is not None:
            self._heard.update(self._objects.received(self._document, kind, data))

    def note_wired(self, model_id: str, source: Input | None, *, by_library: bool = False) -> None:
        """A model got Python callbacks, or lost some, because of that input.

        Those that get theirs ``by_library`` (Panel) are made when they are shown: what is gone in the end was
        replaced, and is not kept to be shown later.
        """
        self._rewired.add(model_id)
        if not by_library:
            self._own.add(model_id)
        self._wires_at.pop(model_id, None)
        if source is not None:
            self._makers.setdefault(source, set()).add(model_id)
        elif not by_library:
            self.has_stray_callbacks = True

    def work_ends(self) -> None:
        """Put inputs that made controls into the history, with the values that there are now."""
        self._look()
        source = current_input.get()
        if source is not None:
            self.note_clicks(source)
        makers, self._makers = self._makers, {}
        for maker, wired in makers.items():
            lasting = self._lasting(wired)
            # Without values and events it is the app's own run, which is repeated anyway.
            if (lasting or maker in self._removers) and (maker.values or maker.events):
                self._history.add(maker, self._past(maker, lasting))
            self._wires_at.update((model_id, self._wires(model_id)) for model_id in wired)
        self._removers.clear()
        self._own.clear()

    def _lasting(self, wired: set[str]) -> set[str]:
        """Those of which nobody but the input that gave them callbacks will do so again."""
        models = self._document.models
        there = {each for each in wired if each in self._own or models.get_by_id(ID(each)) is not None}
        if not there or self._objects is None:
            return there
        return there - self._objects.made_anew(self._document, there)

    def _past(self, source: Input, wired: set[str]) -> PastInput:
        own = {sequence for _, _, sequence, _, _ in source.values}
        before = [
            (*key, sequence, ids_before, _AS_IT_IS)
            for key, (sequence, is_input, ids_before) in self._marks.items()
            if is_input and sequence > self._history.sequence and sequence not in own
        ]
        values = [
            [model_id, attr, sequence, ids_before, value]
            for model_id, attr, sequence, ids_before, given in sorted(
                (*before, *source.values), key=lambda value: value[2]
            )
            if (value := self._input(model_id, attr, given)) is not _AS_IT_IS
        ]
        events = [[ids_before, write_event(event)] for ids_before, event in source.events]
        return PastInput(values, events, sorted(wired), self._history.changed_state(self._state_before()))

    def _input(self, model_id: str, attr: str, given: Any) -> Any:
        """What a client has set there, encoded; _AS_IT_IS where that is not known any more."""
        model = self._document.models.get_by_id(ID(model_id))
        if model is None:
            return self._inputs_left.get((model_id, attr), _AS_IT_IS)
        return self._encoded(model, attr, getattr(model, attr) if given is _AS_IT_IS else given)

    def note_state(self, key: str) -> None:
        """The app's own state changed at ``key``."""
        self._dirty_state.add(key)

    def begin_with(self, inputs: Mapping[tuple[str, str], Value], ready: int | None) -> None:
        """Clients had set these, and a page was drawn, in what this Document was restored from in part."""
        for key, value in sorted(inputs.items(), key=lambda item: item[1].sequence):
            self._sequence += 1
            self._marks[key] = self._sequence, True, value.ids_before
        self._meta.ready = ready

    def resume(self, stored: Stored) -> None:
        """Go on with the journal that this Document was just restored from, exactly."""
        self._sizes = dict(stored.sizes)
        self._marks = {key: (v.sequence, v.is_input, v.ids_before) for key, v in stored.values.items()}
        self._history.resume(stored.history)
        sequences = (value.sequence for value in stored.values.values())
        self._sequence = max([self._history.sequence, *sequences])
        self._wired = set(stored.callbacks)
        self._rewired.clear()
        self._makers.clear()
        self._removers.clear()
        self._own.clear()
        self._inputs_left.clear()
        self._meta.pushed, self._meta.ready = stored.meta.pushed, stored.meta.ready
        self._meta.initial, self._meta.shape = stored.meta.initial, stored.meta.shape
        # What an older release has left out is there once all is written anew.
        self._meta.pullable = stored.meta.pullable
        self._whole_due = stored.base is not None and stored.meta.pullable != PULLABLE
        self._outline_moved = stored.meta.outline is not None
        # The base is of another run, which has made the same ones; what was added later is not there again.
        self._js_callbacks = None if "js" in stored.sizes else js_callback_ids(self._document)
        self._classes = dict(stored.classes)
        self._look()
        self._came.clear()
        self._left.clear()
        self._dirty.clear()
        self._dirty_state.clear()
        self._chunks.clear()
        self._outline_dirty = False
        for name in stored.sizes:
            kind, model_id, number = [*name.split(":"), "", ""][:3]
            if kind == "c":
                self._chunk_count = max(self._chunk_count, int(number))
                self._chunk_bytes[model_id] = self._chunk_bytes.get(model_id, 0) + stored.sizes[name]

    def _mark(self, model_id: str, attr: str, is_input: bool, ids_before: int) -> None:
        self._sequence += 1
        self._marks[model_id, attr] = self._sequence, is_input, ids_before
        self._dirty.add((model_id, attr))
        self._shown.pop((model_id, attr), None)
        if attr == "data":
            self._chunks.pop(model_id, None)

    def _note_chunk(self, event: _RowsEvent, columns: Any, chunk: list[Any]) -> None:
        model = event.model
        self._shown.pop((model.id, "data"), None)
        if any(event is each for each in self._held_but_written):
            return
        if (model.id, "data") not in self._dirty:  # else the whole columns are due anyway
            chunk[1] = self._encoded(model, "data", {name: columns[name] for name in columns})
            self._chunks.setdefault(model.id, []).append(chunk)

    def _note_written(self, model: Model | None = None) -> None:
        """Whole columns are read, of all models or this one: the rows are in them that the app holds back."""
        known = self._held_but_written
        self._held_but_written = [
            event
            for event in self._document.callbacks._held_events  # bokeh 3.9 and 3.10
            if isinstance(event, ColumnsStreamedEvent | ColumnsPatchedEvent)
            and (model in (None, event.model) or any(event is each for each in known))
        ]

    # -- taking --------------------------------------------------------------------------------

    def take(self) -> Changes:
        """What is to be written now. Values are read here: call it between callbacks."""
        changes = self._take_whole() if self._whole_due else self._take_changed()
        self._shown.clear()
        self._account(changes)
        return changes

    def _take_changed(self) -> Changes:
        changes = Changes()
        self._look()
        also = {*self._chunks, *self._came, *self._heard}
        self._take_models(changes)
        self._take_objects(changes, also=also)
        self._take_chunks(changes)
        self._take_values(changes)
        self._take_state(changes)
        self._take_callbacks(changes)
        self._take_js_callbacks(changes)
        if self._base is not None:
            self._put_base(changes, self._base, self._exact)
        self._base, self._exact = None, {}
        meta = self._take_meta()
        if meta != self._written_meta or "meta" not in self._sizes:
            changes.put["meta"] = self._written_meta = meta
        return changes

    def _take_whole(self) -> Changes:
        """All there is, with the present Document as the base."""
        changes = Changes(whole=True)
        had_objects = {name.removeprefix("p:") for name in self._sizes if name.startswith("p:")}
        also = {*self._chunks, *self._heard, *had_objects}
        self._chunks.clear()
        self._chunk_bytes.clear()
        self._sizes.clear()
        self._classes.clear()
        came = [model for model in self._document.models if not self._was_there(model.id)]
        for model in came:
            changes.put[f"m:{model.id}"] = self._whole(model)
            also.add(model.id)
            self._rewired.add(model.id)
        self._take_classes(changes, came)
        self._look()
        self._came.clear()
        self._left.clear()
        self._rewired |= self._wired
        self._dirty = set(self._marks)
        self._take_objects(changes, also=also)
        self._take_values(changes)
        self._dirty_state = set(self._state)
        self._take_state(changes)
        self._take_callbacks(changes)
        self._put_base(changes, self._present(), exact_values(self._document, self.losses))
        self._js_callbacks = js_callback_ids(self._document)
        self._meta.pullable = PULLABLE
        changes.put["meta"] = self._written_meta = self._take_meta()
        self._base, self._exact, self._whole_due = None, {}, False
        return changes

    def _put_base(self, changes: Changes, base: Base, exact: Exact) -> None:
        changes.put["base"] = base.pack()
        try:
            changes.put["exact"] = pack_entry(exact)
        except RecordError:
            changes.put["exact"] = pack_entry({id_: self._packable_records(id_, exact[id_]) for id_ in exact})

    def _packable_records(self, model_id: str, records: Mapping[str, Any]) -> dict[str, Any]:
        model = self._document.models.get_by_id(ID(model_id))
        if model is None:
            return {}
        return {name: self._packable(model, name, record) for name, record in records.items()}

    def _is_built(self, model_id: str) -> bool:
        """Whether the app's own run made the model."""
        return 0 < self._ids.number(model_id) <= self._meta.initial

    def _was_there(self, model_id: str) -> bool:
        """Whether the app's own run put the model into the Document."""
        return bool(self._there >> self._ids.number(model_id) & 1)

    def _present(self) -> Base:
        """The Document as it is now, though no client gets to see this."""
        models = self._document.models
        self._note_written()
        unknown = set(models._new_models)  # bokeh 3.9: encoding makes them known to the clients
        base = Base(*encode_document(self._document, inline=False))
        models._new_models.update(unknown)
        return base

    def _take_models(self, changes: Changes) -> None:
        """Models that came into the Document are written whole; of others that left nothing is kept."""
        self._look()
        for model_id in self._came:
            changes.put[f"m:{model_id}"] = self._whole(self._seen[ID(model_id)])
            self._note_written(self._seen[ID(model_id)])
            self._chunks.pop(model_id, None)  # what was streamed into it is in there
            self._drop_chunks(changes, model_id)
            self._drop_sent(changes, model_id)
        self._take_classes(changes, [self._seen[ID(model_id)] for model_id in self._came])
        # What was noted before they left the Document would be laid over this.
        self._dirty.update(key for key in self._marks if key[0] in self._came)
        self._rewired |= self._came
        for model_id in self._left:
            if not self._is_built(model_id):
                self._forget(changes, model_id)
        self._came.clear()
        self._left.clear()

    def _look(self) -> None:
        """See which models came and left; also those that left for a moment only, and may have changed."""
        present, seen = self._document.models._models, self._seen
        if present is seen:
            return
        came, left = present.keys() - seen.keys(), seen.keys() - present.keys()
        source = current_input.get()
        if source is not None and left and self._history.made(left):
            self._makers.setdefault(source, set())
            self._removers.add(source)
        if left:
            self._keep_inputs(left)
        self._came = (self._came | came) - left
        self._left = (self._left | left) - came
        self._seen = present

    def _keep_inputs(self, left: Collection[str]) -> None:
        """For those that may be repeated after them, as a button of a wizard that shows its next page."""
        for (model_id, attr), (sequence, is_input, _) in self._marks.items():
            if is_input and model_id in left and sequence > self._history.sequence:
                self._keep_input(self._seen[ID(model_id)], attr)

    def _keep_input(self, model: Model, attr: str) -> None:
        self._inputs_left[model.id, attr] = self._encoded(model, attr, getattr(model, attr))

    def _forget(self, changes: Changes, model_id: str) -> None:
        prefixes = (f"v:{model_id}:", f"c:{model_id}:", f"w:{model_id}:")
        changes.remove.update(name for name in self._sizes if name.startswith(prefixes))
        changes.remove.update((f"m:{model_id}", f"p:{model_id}", f"k:{model_id}"))
        self._wired.discard(model_id)
        self._counted.pop(model_id, None)
        for key in [key for key in self._marks if key[0] == model_id]:
            del self._marks[key]
            self._inputs_left.pop(key, None)
            self._dirty.discard(key)
        self._chunks.pop(model_id, None)

    def _take_values(self, changes: Changes) -> None:
        for model_id, attr in self._dirty:
            model = self._document.models.get_by_id(ID(model_id))
            if model is None:
                continue
            if attr in themed(model):  # the theme is kept, so that another one can take its place
                changes.remove.add(f"v:{model_id}:{attr}")
            else:
                changes.put[f"v:{model_id}:{attr}"] = self._value(model, attr)
                if attr == "data":
                    self._drop_chunks(changes, model_id)
                    self._note_written(model)
            for name, sent in sent_instead(model, attr):
                self._take_sent(changes, model, name, sent)
        self._dirty.clear()

    def _take_sent(self, changes: Changes, model: Model, attr: str, sent: list[Any] | None) -> None:
        field = f"w:{model.id}:{attr}"
        if sent is not None:
            encoded = [self._packable(model, attr, self._encoded(model, attr, value)) for value in sent]
            changes.put[field] = pack_entry(encoded)
            changes.remove.discard(field)
        elif field in self._sizes:
            changes.remove.add(field)

    def _drop_sent(self, changes: Changes, model_id: str) -> None:
        prefix = f"w:{model_id}:"
        changes.remove.update(name for name in self._sizes if name.startswith(prefix))

    def _take_js_callbacks(self, changes: Changes) -> None:
        ids = js_callback_ids(self._document)
        if ids != self._js_callbacks and self.has_base:
            changes.put["js"] = pack_entry(encode_js_callbacks(self._document))
            self._js_callbacks = ids

    def _take_classes(self, changes: Changes, models: Iterable[Model]) -> None:
        found = {type_name(model): name for model in models if (name := class_name_for_pages(model))}
        if found.keys() - self._classes.keys():
            self._classes = {**found, **self._classes}
            changes.put["classes"] = pack_entry([self._classes, encode_definitions()])

    def _take_objects(self, changes: Changes, *, also: Iterable[str]) -> None:
        """For models that are due, and ``also`` for these."""
        self._heard.clear()
        if self._objects is None:
            return
        changed: dict[str, set[str]] = {model_id: set() for model_id in also}
        for model_id, _ in self._dirty:
            changed.setdefault(model_id, set())
        for model_id, attr in self._marks:  # what is kept of an object is written as a whole
            if model_id in changed:
                changed[model_id].add(attr)
        for model_id, kept in self._objects.read(self._document, changed).items():
            try:
                changes.put[f"p:{model_id}"] = pack_entry(kept)
            except RecordError as error:
                self.losses.add(f"parameters of the object behind {model_id}", str(error))

    def _value(self, model: Model, attr: str) -> Packed:
        sequence, is_input, ids_before = self._marks[model.id, attr]
        encoded = self._encoded(model, attr, getattr(model, attr), self._shown.get((model.id, attr)))
        value = Value(sequence, is_input, ids_before, type_name(model), known_as(model), encoded)
        try:
            return value.pack()
        except RecordError as error:
            value.value = self._lost(model, attr, error)
            return value.pack()

    def _encoded(self, model: Model, attr: str, value: Any, copies: Copies | None = None) -> Any:
        encoded, losses = write_value(value, copies)
        for column, reason in losses.items():
            self.losses.add(place_of(model, attr, column), reason)
        return encoded

    def _lost(self, model: Model, attr: str, error: Exception) -> Any:
        self.losses.add(place_of(model, attr), reason_of(error))
        return lost(reason_of(error))

    def _whole(self, model: Model) -> Packed:
        values = model.properties_with_values(include_defaults=False)
        attributes = {name: self._encoded(model, name, value) for name, value in values.items()}
        try:
            return WholeModel(type_name(model), attributes).pack()
        except RecordError:
            attributes = {name: self._packable(model, name, item) for name, item in attributes.items()}
            return WholeModel(type_name(model), attributes).pack()

    def _packable(self, model: Model, attr: str, encoded: Any) -> Any:
        try:
            pack_entry(encoded)
        except RecordError as error:
            return self._lost(model, attr, error)
        return encoded

    def _take_chunks(self, changes: Changes) -> None:
        for model_id, chunks in self._chunks.items():
            packed = self._packed_chunks(model_id, chunks)
            if packed is None:
                self._mark_columns(model_id)
                continue
            size = self._chunk_bytes.get(model_id, 0) + len(packed)
            if size > CHUNKS_ALLOWANCE and size > self._columns_bytes(model_id):
                self._mark_columns(model_id)
                continue
            self._chunk_count += 1
            changes.put[f"c:{model_id}:{self._chunk_count:012}"] = packed
            self._chunk_bytes[model_id] = size
        self._chunks.clear()

    def _packed_chunks(self, model_id: str, chunks: list[Any]) -> Packed | None:
        """None when something in them cannot be stored: that is found out by column, of whole columns."""
        try:
            return pack_entry(chunks)
        except RecordError:
            return None

    def _columns_bytes(self, model_id: str) -> int:
        """About what whole columns would take: chunks may cost as much before those are written."""
        source: Any = self._document.models.get_by_id(ID(model_id))
        columns = () if source is None else source.data.values()
        return sum(getattr(column, "nbytes", 9 * len(column)) for column in columns)

    def _mark_columns(self, model_id: str) -> None:
        """Write whole columns where chunks have become more than those."""
        self._marks.setdefault((model_id, "data"), (self._sequence, False, 0))
        self._dirty.add((model_id, "data"))

    def _drop_chunks(self, changes: Changes, model_id: str) -> None:
        if self._chunk_bytes.pop(model_id, 0):
            changes.remove.update(name for name in self._sizes if name.startswith(f"c:{model_id}:"))

    def _take_state(self, changes: Changes) -> None:
        for key in self._dirty_state:
            if key in self._state:
                self._put_state(changes, key)
            else:
                changes.remove.add(f"a:{key}")
        self._dirty_state.clear()

    def _put_state(self, changes: Changes, key: str) -> None:
        """A value was fit to be stored when it was assigned, but may have been changed in place."""
        try:
            changes.put[f"a:{key}"] = pack_entry(self._state[key])
        except RecordError as error:
            self.losses.add(f"session_state[{key!r:.80}]", str(error))
            changes.remove.add(f"a:{key}")

    def _take_callbacks(self, changes: Changes) -> None:
        put, removed = self._history.take(whole=changes.whole)
        changes.put.update(put)
        changes.remove |= removed
        rewired, self._rewired = self._rewired, set()
        for model_id in rewired:
            now = self._wires(model_id)
            wires = self._wires_at.pop(model_id, now)
            if now and wires:
                changes.put[f"k:{model_id}"] = pack_entry(wires)
                self._wired.add(model_id)
            elif model_id in self._wired:
                self._wired.discard(model_id)
                changes.remove.add(f"k:{model_id}")

    def _wires(self, model_id: str) -> list[Wire]:
        if model_id == PERIODIC:
            return periodic_wires(self._document)
        model = self._document.models.get_by_id(ID(model_id))
        return [] if model is None else wires_of(model)

    def _take_meta(self) -> Packed:
        meta, built, now = self._meta, self._built, _Outline.of(self._document)
        meta.ids = self._ids.count
        meta.title = now.title if now.title != built.title else None
        meta.roots = now.roots if now.roots != built.roots else None
        # bokeh 3.9: a theme's own description.
        meta.theme = now.theme._json if now.theme is not built.theme else None
        meta.periodic = is_periodic(self._document)
        meta.outline = [now.title, now.roots] if self._outline_moved else None
        self._outline_dirty = False
        return meta.pack()

    def _account(self, changes: Changes) -> None:
        for name in changes.remove:
            self._sizes.pop(name, None)
        self._sizes.update((name, len(value)) for name, value in changes.put.items())


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a Document is besides its models."""

    title: str
    roots: list[str]
    theme: Any

    @classmethod
    def of(cls, document: Document) -> _Outline:
        return cls(document.title, [root.id for root in document.roots], document.theme)
