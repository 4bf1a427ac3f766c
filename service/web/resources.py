"""Which scripts a page loads, and where BokehJS's own files are.

Bundles depend only on the model classes that are loaded, so each is made once for those.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from bokeh.embed.bundle import URL, Bundle, bundle_for_objs_and_resources
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings as bokeh_settings

from service.apps.app import App
from service.apps.panel import own_file
from service.documents.bundles import bundle_without, extensions
from service.documents.classes import signature

__all__ = (
    "TEMPLATES",
    "PageResources",
    "bokehjs_directory",
    "build_of",
)

T = TypeVar("T")

TEMPLATES = Path(__file__).parent / "templates"
_ADOPT_SOCKET = (TEMPLATES / "adopt_socket.js").read_text(encoding="utf-8").strip()
_LATE_SCRIPTS = (TEMPLATES / "late_scripts.js").read_text(encoding="utf-8").strip()
_COMPONENT = re.compile(r"/(bokeh(?:-\w+)?)(?:-\d[^/]*?)?(?:\.min)?\.js(?:\?[^/]*)?$")
DEFERRABLE_BUNDLES = ("bokeh-gl", "bokeh-widgets", "bokeh-tables", "bokeh-mathjax")
"""BokehJS's bundles that ``late_scripts.js`` knows how to load late, in BokehJS's own order."""
_OF_BOKEHJS = {"bokeh", "bokeh-api", *DEFERRABLE_BUNDLES}

MAX_FILES = 10_000
"""Static files of an app that are looked at to tell images apart."""


def bokehjs_directory() -> Path:
    """Where BokehJS's files are (another place with ``BOKEH_DEV``)."""
    return bokeh_settings.bokehjs_path()


def build_of(versions: Mapping[str, str], apps: Mapping[str, App]) -> str:
    """A digest of all that decides which files a replica has: ``versions``, and the apps with their files.

    Of static files it has names and sizes: reading all of them could take long.
    """
    digest = blake2b(json.dumps(sorted(versions.items())).encode(), digest_size=8)
    for path, app in sorted(apps.items()):
        digest.update(f"{path} {app.version}\n".encode())
        if app.static_path:
            digest.update(_listing(Path(app.static_path)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _listing(root: Path) -> str:
    files = islice((each for each in root.rglob("*") if each.is_file()), MAX_FILES)
    return "".join(f"{each.relative_to(root)} {each.stat().st_size}\n" for each in sorted(files))


@lru_cache(maxsize=256)
def _version(path: str) -> str:
    file = bokehjs_directory() / path
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def _with_version(path: str) -> str:
    """``js/bokeh.min.js`` with a ``?v=`` that changes when the file does."""
    version = _version(path)
    return f"{path}?v={version}" if version else path


class PageResources:
    """Bundles of scripts and style sheets for pages.

    ``root`` is what the URLs of all of them begin with, seen from the page; it ends with a slash.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._classes = 0
        self._signature: Hashable = None

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made again only when model classes were added since."""
        if self._classes_changed():
            self._made.clear()
        # Names contain roots from requests: bound what strangers can make us keep.
        if len(self._made) > 100:
            self._made.clear()
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def forget(self) -> None:
        """Make everything anew."""
        self._made.clear()

    def _classes_changed(self) -> bool:
        """Whether a page would need other scripts than before."""
        # Newest last, and a class that is defined anew takes the place of the old one.
        classes = Model.model_class_reverse_map.values()
        classes_now = hash((len(classes), *map(id, classes)))
        if classes_now == self._classes:
            return False
        self._classes = classes_now
        before, self._signature = self._signature, signature()
        return before != self._signature

    def bundle(self, root: str, app: App | None = None) -> Bundle:
        """All that a page needs; that of an ``app`` nothing that only other apps need."""
        others = self.others(app)
        made = self.once(f"bundle {root} {sorted(others)}", lambda: self._bundle(root, others))
        return Bundle(made.js_files, made.js_raw, made.css_files, made.css_raw, made.hashes)

    def others(self, app: App | None) -> frozenset[str]:
        """The extensions of Bokeh that were imported for other apps only."""
        if app is None:
            return frozenset()
        known = self.once("extensions", extensions)
        return frozenset(each for each in known if not app.uses_extension(each))

    def _bundle(self, root: str, others: frozenset[str]) -> Bundle:
        bundle = bundle_without(others, self.of_server(root))
        if self.of_server(root).mode == "server":
            bundle.js_files = [_within(root, each) for each in bundle.js_files]
            bundle.css_files = [_within(root, each) for each in bundle.css_files]
        return bundle

    def shell_bundle(self, root: str, needed: Collection[str], app: App | None = None) -> Bundle:
        """For a page whose Document nobody knows yet; what it hardly needs is loaded late.

        Of BokehJS's bundles ``needed`` has the names of those that Documents of this app are known to need.
        """
        bundle = self.bundle(root, app)
        named = {_component(each): each for each in bundle.js_files}
        may_be_late = DEFERRABLE_BUNDLES if self._has_only_bokehjs(root, bundle) else DEFERRABLE_BUNDLES[-1:]
        late = [name for name in may_be_late if name in named and name not in needed]
        bundle.js_files = [each for name, each in named.items() if name not in late]
        wanted = json.dumps([{"name": name, "url": named[name].url} for name in late])
        bundle.js_raw += [_ADOPT_SOCKET, f"{_LATE_SCRIPTS}({wanted})"]
        return bundle

    def _has_only_bokehjs(self, root: str, bundle: Bundle) -> bool:
        """Whether all scripts are BokehJS's, as this server has them.

        Extensions and custom models are linked against any bundle. And files of somebody else's are loaded
        as whoever publishes them says.
        """
        resources = self.of_server(root)
        named = {_component(each) for each in bundle.js_files}
        return resources.mode == "server" and named <= _OF_BOKEHJS and bundle.js_raw == resources.js_raw

    def bare_bundle(self) -> Bundle:
        """No resources at all, for pages that bring their own."""
        return bundle_for_objs_and_resources(None, None)

    def of_server(self, root: str) -> Resources:
        """What bundles are made from."""
        mode = bokeh_settings.resources(default="server")
        if not mode.startswith("server"):
            return Resources(mode=mode)
        return Resources(mode=mode, root_url=root, path_versioner=_with_version)


def _component(file: URL) -> str:
    """The name of one of BokehJS's bundles from its address, else the address."""
    found = _COMPONENT.search(file.url)
    return found[1] if found else file.url


def _within(root: str, url: URL) -> URL:
    """A file of ours: Panel's classes (1.9, 1.10) name theirs so, and Bokeh (3.10) loses ``../``."""
    if url.url.startswith("static/"):
        return URL(root + url.url)
    return URL(own_file(url.url, f"{root}static/extensions/panel/"))
