"""From ASGI's scopes to the requests that handlers know. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from service.asgi.events import Scope

__all__ = ("Peer", "ScopedRequest", "peer_of", "request_of", "routed")

PROBES = frozenset({"/healthz", "/readyz", "/startupz", "/metrics"})
"""What is never below the prefix, as it is asked for by those who know nothing of it."""

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as Tornado's requests ask for it."""

    remote_ip: str
    """Empty where the server does not say, as behind a Unix socket."""
    protocol: str


class ScopedRequest(HTTPServerRequest):
    """``path`` is the one that routes are for; ``uri`` is as the client sees it, with what is mounted before.

    ``scope`` is what the programs around us have left in it: who the user is, and state.
    """

    def __init__(self, scope: Scope, body: bytes, connection: HTTPConnection, path: str) -> None:
        uri = _full_path(scope)
        if query := scope.get("query_string", b"").decode("latin-1"):
            uri += "?" + query
        super().__init__(
            start_line=RequestStartLine(scope.get("method", "GET"), uri, "HTTP/1.1"),
            headers=_headers(scope),
            body=body,
            connection=connection,
        )
        self.path = path
        self.scope = scope

    @property
    def host_facts(self) -> dict[str, Any]:
        """What a ``ServerRequest`` (bokeh 3.10) says of the program around us."""
        scope = self.scope
        return {
            "root_path": scope.get("root_path", ""),
            "user": scope.get("user"),
            "state": scope.get("state") or {},
        }


def request_of(scope: Scope, body: bytes, connection: HTTPConnection, prefix: str) -> ScopedRequest:
    """The request that a scope stands for. Raises ``tornado.httputil.HTTPInputError``."""
    return ScopedRequest(scope, body, connection, routed(scope, prefix))


def peer_of(scope: Scope) -> Peer:
    client, scheme = scope.get("client"), str(scope.get("scheme", "http"))
    return Peer(str(client[0]) if client else "", _HTTP_SCHEMES.get(scheme, scheme))


def routed(scope: Scope, prefix: str) -> str:
    """The path of a request, escaped, as routes that begin with ``prefix`` know it.

    What the program mounts us at (``root_path``) is no part of it, except where that is the prefix: as for
    replicas that are reached at one URL, some of them mounted there and some not.
    """
    root = _root(scope)
    below = _full_path(scope).removeprefix(root)
    if below in PROBES:
        return below
    if prefix and root.endswith(prefix):
        return prefix + below
    return below


def _full_path(scope: Scope) -> str:
    """As the client wrote it, as far as the scope has that, with what is mounted before it."""
    path: str = scope.get("path", "/")
    raw = (scope.get("raw_path") or b"").partition(b"?")[0]
    # Of some frameworks only one of them has what comes before.
    written = raw.decode("latin-1") if unquote_to_bytes(raw) == path.encode() else quote(path)
    root = _root(scope)
    return written if written == root or written.startswith(f"{root}/") else root + written


def _root(scope: Scope) -> str:
    return quote(scope.get("root_path", "").rstrip("/"))


def _headers(scope: Scope) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in scope.get("headers", ()):
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
    # No answer of ours to an HTTP request leads to a WebSocket: ASGI has a scope of its own for these.
    headers.pop("Upgrade", None)
    offered = scope.get("subprotocols")
    if offered and "Sec-WebSocket-Protocol" not in headers:
        headers["Sec-WebSocket-Protocol"] = ", ".join(offered)
    if len(cookies := headers.get_list("Cookie")) > 1:  # HTTP/2 may split them
        headers["Cookie"] = "; ".join(cookies)
    return headers
