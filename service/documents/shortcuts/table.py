"""The shortcuts in groups, and putting in those groups whose functions of Bokeh we know."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from types import ModuleType
from typing import Any

import bokeh.document.callbacks as bokeh_callbacks
import bokeh.document.document as bokeh_document
import bokeh.model.util as bokeh_util
import bokeh.util.callback_manager as bokeh_callback_manager
import bokeh.util.functions as bokeh_functions
from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import ColumnDataPropertyDescriptor, PropertyDescriptor
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.core.serialization import Deserializer, Serializer
from bokeh.document import Document
from bokeh.document.callbacks import DocumentCallbackManager
from bokeh.document.events import DocumentChangedEvent, DocumentPatchedEvent
from bokeh.document.models import DocumentModelManager
from bokeh.model import Model
from bokeh.protocol.messages.patch_doc import patch_doc
from bokeh.util.callback_manager import PropertyCallbackManager

from service.documents.released import is_released
from service.documents.shortcuts import checks, dispatch, exchange, properties, roots
from service.documents.shortcuts.exchange import PatchSerializer

__all__ = ("GROUPS", "Group", "Known", "install", "installed", "patch_serializer", "remove", "replaced")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A function of Bokeh as it was read: replaced by a shortcut, or relied on by one."""

    owner: type | ModuleType
    name: str
    digests: tuple[str, ...]
    """Of the released versions for which the shortcuts of its group were shown to be right."""
    original: Any
    replacement: Any = None
    """None for what is only relied on."""

    @property
    def as_read(self) -> bool:
        """Whether the installed Bokeh's function is one of those."""
        return is_as_read(self.original, self.name, self.digests)

    def put(self, function: Any) -> None:
        if self.replacement is not None:
            setattr(self.owner, self.name, function)

    @property
    def path(self) -> str:
        """Its name with that of its module."""
        owner = self.owner
        within = "" if isinstance(owner, ModuleType) else f"{owner.__module__}."
        return f"{within}{owner.__name__}.{self.name}"

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


@dataclass(frozen=True, slots=True)
class Group:
    """Shortcuts that rely on each other or on the same functions: all of them are in, or none."""

    name: str
    functions: tuple[Known, ...]

    @property
    def outdated(self) -> list[Known]:
        """The functions that are others than those which the group was written for."""
        return [each for each in self.functions if not each.as_read]

    def put(self) -> None:
        """Have all of it in."""
        for each in self.functions:
            each.put(each.replacement)

    def remove(self) -> None:
        """Put the library's own functions back, to compare with."""
        for each in self.functions:
            each.put(each.original)


def is_as_read(function: Any, name: str, digests: Collection[str]) -> bool:
    """Whether it is what a release has under this name, or does what one of these digests stands for."""
    return is_released(function, name) or digest_of(function) in digests


def digest_of(function: Any) -> str:
    """A short digest of what a function does: its source without documentation and annotations.

    Empty where there is no source.
    """
    try:
        source = inspect.getsource(getattr(function, "__func__", function))
    except (OSError, TypeError):
        return ""
    # Texts in a method may be indented less than the method, so it is not moved to the left.
    tree = ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)
    for node in ast.walk(tree):
        _strip(node)
    return sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def _strip(node: ast.AST) -> None:
    if isinstance(node, ast.arg):
        node.annotation = None
    elif isinstance(node, ast.AnnAssign):
        node.annotation = ast.Name("object")
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
        node.__dict__.pop("type_params", None)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]


def _shortcut(owner: type | ModuleType, name: str, *digests: str) -> Known:
    modules = (properties, exchange, dispatch, roots, checks)
    (replacement,) = (vars(module)[name] for module in modules if name in vars(module))
    return Known(owner, name, digests, owner.__dict__[name], replacement)


def _relied_on(owner: type | ModuleType, name: str, *digests: str) -> Known:
    return Known(owner, name, digests, owner.__dict__[name])


# Where there are two digests the first is that of bokeh 3.9.0 to 3.9.2 and the second that of 3.10.0 to
# 3.10.2; where there is one all of these have it, unless the line says otherwise.
GROUPS = (
    Group(
        "models",
        (
            _shortcut(HasProps, "__init__", "47d94fb1f4d9888a"),
            _shortcut(HasProps, "query_properties_with_values", "95cad688128567d8"),
            _shortcut(PropertyDescriptor, "_get", "eb3df85a1a6eff15"),
            _shortcut(PropertyDescriptor, "_get_default", "94af62c3fe9e0a9d"),
            _shortcut(PropertyDescriptor, "instance_default", "8c5c4ac061955716"),
            _shortcut(bokeh_util, "visit_immediate_value_references", "76ee1586731798c8"),
            _relied_on(HasProps, "properties_with_values", "6e03eb107fce3037"),
            _relied_on(HasProps, "lookup", "89e2b9e2bf93185d"),
            _relied_on(HasProps, "properties", "5e8c829b085d41bf", "a0c412f199531398"),
            _relied_on(HasProps, "_overridden_defaults", "e7a346f672b80dab", "fa0d9c40ffb85e81"),
            _relied_on(PropertyDescriptor, "get_value", "1de03b87bc7f63a3"),
            _relied_on(PropertyDescriptor, "__get__", "8ed800e8ae288dc9"),
            _relied_on(PropertyDescriptor, "has_unstable_default", "88b4fa6daf70eed4", "406b18fff6440ec1"),
            _relied_on(PropertyDescriptor, "is_unstable", "637be351f4c6dcb9"),
            _relied_on(Property, "themed_default", "d7a24facfe4d4452"),
            _relied_on(Property, "_raw_default", "471a1642dad8a069"),
            _relied_on(Property, "_copy_default", "ea9c1be9e3c5c247"),
            _relied_on(bokeh_util, "collect_filtered_models", "a3ddbd854b831e1f"),
            _shortcut(bokeh_util, "visit_value_and_its_immediate_references", "fe1f6a71b28e660b"),
        ),
    ),
    Group(
        "attributes",
        (
            _shortcut(HasProps, "__setattr__", "59c0887e669186ad"),
            _shortcut(HasProps, "themed_values", "849036eb7884f521"),
            _shortcut(HasProps, "apply_theme", "7c68f307f4518e13"),
            _relied_on(HasProps, "unapply_theme", "39234a8dc3caff14"),
        ),
    ),
    Group(
        "validation",
        (
            _shortcut(Property, "matches", "d6888593fd2144ae", "34d65baebf6c4673"),
            _shortcut(Property, "prepare_value", "cd3068b0f5e41d6f", "525a9441abb75bfb"),
        ),
    ),
    Group(
        "encoding",
        (
            _shortcut(Document, "to_json", "070c146e47dbc903"),
            _shortcut(HasProps, "to_serializable", "6300a703f29c4f1a"),
            _shortcut(Serializer, "_encode_bytes", "dd71fb680560998e"),
            _relied_on(HasProps, "query_properties_with_values", "95cad688128567d8"),
            _relied_on(PropertyDescriptor, "__get__", "8ed800e8ae288dc9"),
            _relied_on(PropertyDescriptor, "get_value", "1de03b87bc7f63a3"),
            _relied_on(PropertyDescriptor, "_get", "eb3df85a1a6eff15"),
            _relied_on(PropertyDescriptor, "_get_default", "94af62c3fe9e0a9d"),
            _relied_on(Serializer, "_encode", "e9da7e3c6dc9c378"),
            _relied_on(Serializer, "_encode_bool", "e3d581bd47227fb6"),
            _relied_on(Serializer, "_encode_str", "ac10b482d87a596f"),
            _relied_on(Serializer, "_encode_int", "af3225f0ea755c3c"),
            _relied_on(Serializer, "_encode_float", "0634eac86bc44118"),
            _relied_on(Serializer, "_encode_list", "c5eedd4d0cc9b2ed"),
            _relied_on(Serializer, "_encode_dict", "32a040e967253444"),
            _relied_on(HasProps, "properties_with_values", "6e03eb107fce3037"),
            _relied_on(Model, "to_serializable", "e654319be3ea68e2"),
            _relied_on(Serializer, "__init__", "08c28e2e90c3f229"),
            # The first is that of 3.9.0 to 3.10.1.
            _relied_on(Serializer, "encode", "5a5336844d6f2dd4", "93e51dcc97b4ea23"),
            _relied_on(Serializer, "add_ref", "6ab667b0637f1bb9"),
            _relied_on(Serializer, "get_ref", "750faa3908c1ca30"),
            _relied_on(Serializer, "has_ref", "513c2b427f083186"),
            _relied_on(DocumentModelManager, "flush_synced", "c1ae52205b6bfd07"),
            _relied_on(patch_doc, "create", "a23a78826aa6d5ab"),
        ),
    ),
    Group(
        "patches",
        (
            _shortcut(Document, "apply_json_patch", "0aeb6ed5bcc78578"),
            _relied_on(Deserializer, "__init__", "d87cec561ee697dd"),
            _relied_on(Deserializer, "has_ref", "ff76d1ff883cd4e3"),
            _relied_on(DocumentPatchedEvent, "handle_event", "c86004ecef618235", "37f06ca1cc4d2849"),
            _relied_on(DocumentModelManager, "flush_synced", "c1ae52205b6bfd07"),
            _relied_on(DocumentModelManager, "seen", "7bd61058391f5c34"),
        ),
    ),
    Group(
        "dispatch",
        (
            _shortcut(bokeh_callbacks, "invoke_with_curdoc", "20d1c3b2108480ff"),
            _shortcut(Model, "trigger", "f7aed56ebe061edd"),
            _relied_on(PropertyCallbackManager, "trigger", "644a1425be2e4f42"),
            _shortcut(DocumentCallbackManager, "on_change_dispatch_to", "b49999124ca42889"),
            _relied_on(DocumentChangedEvent, "dispatch", "4b512e9b4bce7ba0", "f348a04f7b461b49"),
            _relied_on(DocumentPatchedEvent, "dispatch", "12234080dd77a901", "a6e0827e404487ec"),
        ),
    ),
    Group(
        "roots",
        (
            _shortcut(Document, "add_root", "72bf90a387fe5f77"),
            _relied_on(DocumentModelManager, "recompute", "e42ef3bf7573a2f7"),
            _relied_on(DocumentModelManager, "freeze", "30295c7d6b1330e6"),
            _relied_on(DocumentModelManager, "_pop_freeze", "dc4fc5509d6a6072"),
            _relied_on(DocumentModelManager, "invalidate", "76924b8ce5975a50"),
            _relied_on(Model, "_attach_document", "9c3f347d12769a93"),
        ),
    ),
    Group(
        "checks",
        (
            _shortcut(bokeh_document, "check_integrity", "af971fc894f7ed4c"),
            # The first is that of 3.9.0.
            _shortcut(bokeh_callback_manager, "_check_callback", "337a22847138a80c", "96a58f0da59d42e3"),
            _relied_on(bokeh_functions, "get_param_info", "1ad1616849400c8e"),
            _relied_on(Document, "validate", "92716f98e25c63a3"),
        ),
    ),
    Group(
        "columns",
        (
            _shortcut(ColumnDataPropertyDescriptor, "__set__", "21570bff593ce351", "d80bb5a82885869d"),
            _shortcut(PropertyValueColumnData, "update", "2e61ae3f6deb0070", "6fe72194d778bcbc"),
        ),
    ),
)


def install() -> bool:
    """Put in each group whose functions Bokeh has not changed. Idempotent; whether all are in."""
    for group in GROUPS:
        if changed := group.outdated:
            log.warning(
                "this version of bokeh runs without our shortcuts for %s, which is slower: it has changed %s",
                group.name, ", ".join(map(str, changed)),
            )  # fmt: skip
            continue
        group.put()
        _installed.add(group.name)
    log.debug("shortcuts: %s", ", ".join(f"{name} {'on' if on else 'off'}" for name, on in installed()))
    return len(_installed) == len(GROUPS)


_installed: set[str] = set()


def installed() -> Iterator[tuple[str, bool]]:
    """The name of each group, and whether it is in."""
    return ((group.name, group.name in _installed) for group in GROUPS)


def replaced() -> tuple[str, ...]:
    """The dotted names of Bokeh's functions that shortcuts take the place of."""
    return tuple(each.path for group in GROUPS for each in group.functions if each.replacement is not None)


def remove(*names: str) -> None:
    """Put Bokeh's own functions back, of these groups or of all, to compare with."""
    for group in GROUPS:
        if not names or group.name in names:
            group.remove()
            _installed.discard(group.name)


def patch_serializer(models: DocumentModelManager) -> Serializer:
    """A serializer for changes: the models that clients have already are written as references."""
    if "encoding" in _installed:
        return PatchSerializer(models)
    return Serializer(references=models.synced_references)
