"""Static files while replicas of several versions answer: BokehJS's, extensions' and the apps' own.

A page's scripts come from whichever replica the balancer chooses. So a file may be kept for good only if
its content is what ``?v=`` names, one that this replica lacks comes from a replica that has it, and nothing
else stays in a cache without being asked for again.
"""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import HTTPError

from service.apps.panel_components import component_file
from service.documents.extensions import extension_directory, extension_version
from service.errors import ServiceError, TokenExpired, TokenInvalid
from service.fleet.files import PeerFile
from service.fleet.relay import FILE_PATH, OTHER_TOKEN_HEADER
from service.tokens import FileGrant
from service.web.file_versions import may_name_content, names_content, names_package
from service.web.files import on_file_thread
from service.web.packed import PackedStaticHandler
from service.web.services import Services

__all__ = (
    "AppFileHandler",
    "BokehFileHandler",
    "ComponentFileHandler",
    "ExtensionFileHandler",
    "check_replica",
)


class Found(Enum):
    """What this replica has of what a URL names."""

    THAT = auto()
    """The very version."""
    ANY = auto()
    """The file, and the URL names no version of it."""
    OTHER = auto()
    """Another version of it."""
    NONE = auto()


class FleetFileHandler(PackedStaticHandler):
    """Serves a file, or what another replica has in its place.

    With ``for_replicas`` it answers them: with its own files alone, so that nobody asks in circles.
    """

    _found = Found.ANY
    _from_peer: PeerFile | None = None
    _is_of_apps = False
    """Whether a replica knows it by the apps that it has run, and this one does not."""

    def initialize(self, services: Services, path: str = "/", for_replicas: bool = False) -> None:  # type: ignore[override]
        super().initialize(path=path)
        self.services = services
        self._for_replicas = for_replicas

    async def prepare(self) -> None:
        if self._for_replicas:
            check_replica(self.request, self.services, self._public_path)

    @property
    def _public_path(self) -> str:
        """The path that browsers ask for, below the prefix."""
        return self.request.path.removeprefix(self.services.settings.prefix).removeprefix(FILE_PATH)

    async def get(self, path: str, include_body: bool = True) -> None:
        version = self.get_query_argument("v", "")
        self._found = await on_file_thread(self._look, path, version)
        if self._found in (Found.NONE, Found.OTHER):
            self._from_peer = await self._ask_others(version)
            if self._from_peer is not None:
                self._pass_on(self._from_peer, include_body)
                return
            if self._found is Found.NONE or self.is_strict(version):
                raise HTTPError(404)
        await super().get(path, include_body)

    def is_strict(self, version: str) -> bool:
        """Whether ``version`` names one content and nothing else will do."""
        return may_name_content(version)

    def may_be_elsewhere(self, version: str) -> bool:
        """Whether it makes sense to ask others for ``version``, where this replica has another one."""
        return may_name_content(version)

    def is_named(self, version: str, file: Path) -> bool:
        """Whether ``file`` is what ``version`` names."""
        return names_content(version, file)

    def _look(self, path: str, version: str) -> Found:
        """Reads the disk. Raises HTTPError for paths that lead elsewhere."""
        file = Path(self.get_absolute_path(self.root, self.parse_url_path(path)))
        if not os.path.isfile(file):  # which knows of names that no file can have, as Path does not
            return Found.NONE
        if not version:
            return Found.ANY
        return Found.THAT if self.is_named(version, file) else Found.OTHER

    async def _ask_others(self, version: str) -> PeerFile | None:
        if self._for_replicas or (self._found is Found.OTHER and not self.may_be_elsewhere(version)):
            return None
        gzip = "gzip" in self.request.headers.get("Accept-Encoding", "")
        query = f"?{self.request.query}" if self.request.query else ""
        return await self.services.files.find(self._public_path, query, gzip=gzip, of_apps=self._is_of_apps)

    def _pass_on(self, file: PeerFile, include_body: bool) -> None:
        for name, value in file.headers:
            self.set_header(name, value)
        self.finish(file.body if include_body else None)

    def compute_etag(self) -> str | None:
        if self._from_peer is not None:
            return dict(self._from_peer.headers).get("Etag")
        return super().compute_etag()

    def set_extra_headers(self, path: str) -> None:
        if self._found is Found.THAT:
            self.set_header("Cache-Control", f"public, max-age={self.CACHE_MAX_AGE}, immutable")
        else:
            # Otherwise browsers guess, from the time of the last change, how long they may keep it.
            self.set_header("Cache-Control", "no-cache")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Cache-Control", "no-store")
        super().write_error(status_code, **kwargs)

    def data_received(self, chunk: Any) -> None:
        raise HTTPError(405)


class BokehFileHandler(FleetFileHandler):
    """``/static/…``: BokehJS."""


class AppFileHandler(FleetFileHandler):
    """``/app/static/…``. What stands after ``?v=`` is up to the app's author, so what there is will do."""

    def is_strict(self, version: str) -> bool:
        return False


class ExtensionFileHandler(FleetFileHandler):
    """``/static/extensions/NAME/…``: files of installed Bokeh extensions."""

    _name = ""

    async def get(self, path: str, include_body: bool = True) -> None:
        self._name, _, rest = path.partition("/")
        directory = None if "\0" in path else await on_file_thread(extension_directory, self._name)
        if not rest:
            raise HTTPError(404)
        # Some packages say where their files are only when they are imported (panel_material_ui 0.16).
        self._is_of_apps = directory is None
        self.root = str(directory or _NOWHERE)
        await super().get(rest, include_body)

    def is_strict(self, version: str) -> bool:
        """Panel (1.10) has its own version follow style sheets of extensions that say none of theirs."""
        return bool(extension_version(self._name)) or may_name_content(version)

    def may_be_elsewhere(self, version: str) -> bool:
        return self.is_strict(version)

    def is_named(self, version: str, file: Path) -> bool:
        return names_package(version, extension_version(self._name)) or names_content(version, file)


class ComponentFileHandler(FleetFileHandler):
    """``/components/…``: files that classes of Panel's components name."""

    async def get(self, path: str, include_body: bool = True) -> None:
        file = None if "\0" in path else component_file(path, self.services.apps.values())
        self.root = str(_NOWHERE if file is None else file.parent)
        await super().get("missing" if file is None else file.name, include_body)

    def is_strict(self, version: str) -> bool:
        return False


_NOWHERE = Path(__file__).parent / "no-such-directory"
"""The root of files of an extension that is not installed here."""


def check_replica(request: HTTPServerRequest, services: Services, path: str) -> None:
    """Raise HTTPError unless another replica asks, and for what is at ``path`` for browsers."""
    try:
        granted = _verified(request.headers, services).path
    except ServiceError as error:
        raise HTTPError(error.http_status, str(error)) from error
    if granted != path:
        raise HTTPError(403, "the file token is for another file")


def _verified(headers: HTTPHeaders, services: Services) -> FileGrant:
    """Either of the two tokens will do: whoever asks may have a newer secret than this replica."""
    token, replica, now = _bearer(headers.get("Authorization", "")), services.replica, services.clock()
    try:
        return services.tokens.verify_file(token, replica, now=now)
    except TokenExpired:
        raise
    except TokenInvalid:
        return services.tokens.verify_file(headers.get(OTHER_TOKEN_HEADER, token), replica, now=now)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token if scheme == "Bearer" else ""
