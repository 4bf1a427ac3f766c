"""The journal of one Document: takes note of what happens, and puts together what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
from service.documents.encoding import Buffers
from service.documents.entries import PULLABLE, Meta, Stored, Value
from service.documents.extensions import made_with
from service.documents.ids import IdSpace
from service.documents.journal.causes import AS_IT_IS, Causes
from service.documents.journal.changes import Changes, Objects, Outline
from service.documents.journal.marks import Marks
from service.documents.journal.pages import PageRecord
from service.documents.journal.rows import Rows
from service.documents.journal.writing import ValueWriter
from service.documents.losses import Losses
from service.documents.shape import shape_of
from service.documents.wiring import Input, current_input, is_periodic
from store.errors import RecordError
from store.records import Packed, pack_entry

__all__ = ("Journal",)


class Journal:
    """Made right after the app's run, before anything else happens.

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
        self._ids = ids
        self._meta = Meta(
            initial=ids.count, shape=shape_of(document, ids), version=version, made_with=made_with().text,
            pullable=PULLABLE,
        )  # fmt: skip
        self._built = Outline.of(document)
        self._there = sum(1 << number for model in document.models if (number := ids.number(model.id)))
        # bokeh 3.9: recompute() makes a new dict each time, so the old one shows what came and went.
        self._seen = document.models._models
        self.has_stray_callbacks = False
        """A timer or a thread has changed the callbacks: nothing that is repeated does so again."""
        self._came: set[str] = set()
        self._left: set[str] = set()
        self._heard: set[str] = set()
        """Models whose objects heard of an event, which may have changed those alone."""
        self._counted: dict[str, object] = {}
        """What was counted when the clicks of a model were last noted."""
        self.losses = Losses()
        self._written_meta: Packed = b""
        self._outline_dirty = False
        self._outline_moved = False
        self._whole_due = False
        self._is_another = False
        self._sizes: dict[str, int] = {}
        self._state = {} if state is None else state
        self._dirty_state = set(self._state)
        writer = self._writer = ValueWriter(self.losses)
        marks = self._marks = Marks()
        self._rows = Rows(document, marks, writer, self._sizes)
        self._pages = PageRecord(document, self.losses, writer, self._sizes)
        self._causes = Causes(document, marks, writer, state_before)
        # Each patch needs these, and finds them here: what they are in is never replaced. None of the parts
        # knows the journal: a cycle would keep the Document until the next collection.
        self._mark, self._note_rows = marks.mark, self._rows.note
        self._dirty, self._chunks, self._shown = marks.due, marks.chunks, marks.shown
        self._history, self._rewired = self._causes.history, self._causes.rewired
        self._makers, self._own = self._causes.makers, self._causes.own

    # -- noting --------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether there is anything to take."""
        return (
            bool(self._dirty or self._chunks or self._dirty_state or self._came or self._left or self._heard)
            or self._pages.base is not None
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
        return self._pages.has_base

    def pulled(self, content: str, buffers: Buffers) -> None:
        """A client gets to see the Document like this. Only the first time counts."""
        if not self._pages.has_base:
            self._pages.seen(content, buffers)
            self._rows.all_columns()
            self._rows.written()
            self._pages.seen_callbacks()

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
                sequence = self._mark(event.model.id, event.attr, is_input, ids_before)
                source = current_input.get()
                if source is not None:
                    self.note_clicks(source)
                if is_input and source is not None:
                    value = getattr(event, "new", AS_IT_IS)
                    source.values.append((event.model.id, event.attr, sequence, ids_before, value))
                if is_input and event.model.id not in self._seen:  # its own callbacks came first
                    self._causes.keep_input(event.model, event.attr)
            case ColumnsStreamedEvent():
                self._note_rows(event, event.data, [True, None, event.rollover])
            case ColumnsPatchedEvent():
                if is_input and self._objects is not None:
                    self._objects.patched(event.model, event.patches)
                self._note_rows(event, event.patches, [False, None])
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
        self._marks.set_past_setters(model.id, model._property_values)  # bokeh 3.9 and 3.10

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
        self._causes.note_wired(model_id, source, by_library=by_library)
        if source is None and not by_library:
            self.has_stray_callbacks = True

    def work_ends(self) -> None:
        """Put inputs that made controls into the history, with the values that there are now."""
        self._look()
        source = current_input.get()
        if source is not None:
            self.note_clicks(source)
        if self._makers or self._own:
            self._causes.work_ends(self._objects)

    def note_state(self, key: str) -> None:
        """The app's own state changed at ``key``."""
        self._dirty_state.add(key)

    def begin_with(self, inputs: Mapping[tuple[str, str], Value], ready: int | None) -> None:
        """Clients had set these, and a page was drawn, in what this Document was restored from in part."""
        self._marks.begin_with(inputs)
        self._meta.ready = ready

    def resume(self, stored: Stored) -> None:
        """Go on with the journal that this Document was just restored from, exactly."""
        self._sizes.clear()
        self._sizes.update(stored.sizes)
        self._causes.resume(stored)
        self._marks.resume(stored.values, self._history.sequence)
        self._meta.pushed, self._meta.ready = stored.meta.pushed, stored.meta.ready
        self._meta.initial, self._meta.shape = stored.meta.initial, stored.meta.shape
        # What an older release has left out is there once all is written anew.
        self._meta.pullable = stored.meta.pullable
        self._whole_due = stored.base is not None and stored.meta.pullable != PULLABLE
        self._outline_moved = stored.meta.outline is not None
        self._pages.resume(stored)
        self._look()
        self._came.clear()
        self._left.clear()
        self._dirty_state.clear()
        self._outline_dirty = False
        self._rows.resume(stored.sizes)

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
        self._rows.take(changes)
        self._take_values(changes)
        self._take_state(changes)
        self._causes.take(changes)
        self._pages.take_js_callbacks(changes)
        self._pages.take_base(changes)
        meta = self._take_meta()
        if meta != self._written_meta or "meta" not in self._sizes:
            changes.put["meta"] = self._written_meta = meta
        return changes

    def _take_whole(self) -> Changes:
        """All there is, with the present Document as the base."""
        changes = Changes(whole=True)
        had_objects = {name.removeprefix("p:") for name in self._sizes if name.startswith("p:")}
        also = {*self._chunks, *self._heard, *had_objects}
        self._rows.begin_anew()
        self._sizes.clear()
        self._pages.forget_classes()
        came = [model for model in self._document.models if not self._was_there(model.id)]
        for model in came:
            changes.put[f"m:{model.id}"] = self._writer.whole(model)
            also.add(model.id)
        self._pages.take_classes(changes, came)
        self._look()
        self._came.clear()
        self._left.clear()
        self._causes.all_rewired([model.id for model in came])
        self._marks.all_due()
        self._take_objects(changes, also=also)
        self._take_values(changes)
        self._dirty_state = set(self._state)
        self._take_state(changes)
        self._causes.take(changes)
        self._rows.written()
        self._pages.take_present(changes)
        self._meta.pullable = PULLABLE
        changes.put["meta"] = self._written_meta = self._take_meta()
        self._whole_due = False
        return changes

    def _is_built(self, model_id: str) -> bool:
        """Whether the app's own run made the model."""
        return 0 < self._ids.number(model_id) <= self._meta.initial

    def _was_there(self, model_id: str) -> bool:
        """Whether the app's own run put the model into the Document."""
        return bool(self._there >> self._ids.number(model_id) & 1)

    def _take_models(self, changes: Changes) -> None:
        """Models that came into the Document are written whole; of others that left nothing is kept."""
        self._look()
        came = [self._seen[ID(model_id)] for model_id in self._came]
        for model in came:
            changes.put[f"m:{model.id}"] = self._writer.whole(model)
            self._rows.written(model)
            self._chunks.pop(model.id, None)  # what was streamed into it is in there
            self._rows.drop(changes, model.id)
            self._pages.drop_sent(changes, model.id)
        self._pages.take_classes(changes, came)
        # What was noted before they left the Document would be laid over this.
        self._dirty.update(key for key in self._marks.at if key[0] in self._came)
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
        if left:
            self._causes.models_leave(current_input.get(), {model_id: seen[model_id] for model_id in left})
        self._came = (self._came | came) - left
        self._left = (self._left | left) - came
        self._seen = present

    def _forget(self, changes: Changes, model_id: str) -> None:
        prefixes = (f"v:{model_id}:", f"c:{model_id}:", f"w:{model_id}:")
        changes.remove.update(name for name in self._sizes if name.startswith(prefixes))
        changes.remove.update((f"m:{model_id}", f"p:{model_id}", f"k:{model_id}"))
        self._counted.pop(model_id, None)
        self._causes.forget(model_id)
        self._marks.forget(model_id)

    def _take_values(self, changes: Changes) -> None:
        for model_id, attr in self._dirty:
            model = self._document.models.get_by_id(ID(model_id))
            if model is None:
                continue
            if attr in themed(model):  # the theme is kept, so that another one can take its place
                changes.remove.add(f"v:{model_id}:{attr}")
            else:
                key = model_id, attr
                changes.put[f"v:{model_id}:{attr}"] = self._writer.value(
                    model, attr, self._marks.at[key], self._shown.get(key)
                )
                if attr == "data":
                    self._rows.drop(changes, model_id)
                    self._rows.written(model)
            self._pages.take_sent(changes, model, attr)
        self._dirty.clear()

    def _take_objects(self, changes: Changes, *, also: Iterable[str]) -> None:
        """For models that are due, and ``also`` for these."""
        self._heard.clear()
        if self._objects is None:
            return
        changed: dict[str, set[str]] = {model_id: set() for model_id in also}
        for model_id, _ in self._dirty:
            changed.setdefault(model_id, set())
        for model_id, attr in self._marks.at:  # what is kept of an object is written as a whole
            if model_id in changed:
                changed[model_id].add(attr)
        for model_id, kept in self._objects.read(self._document, changed).items():
            try:
                changes.put[f"p:{model_id}"] = pack_entry(kept)
            except RecordError as error:
                self.losses.add(f"parameters of the object behind {model_id}", str(error))

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

    def _take_meta(self) -> Packed:
        meta, built, now = self._meta, self._built, Outline.of(self._document)
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
