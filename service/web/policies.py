"""Users as an ``AuthPolicy`` of bokeh 3.10 knows them, for programs that embed the server.

A policy is an object with ``authenticate(request)``, which gives a user or None, ``get_login_url(request)``,
which gives a URL or None, and ``logout_url``. It sees ``ServerRequest``s, which know no web framework.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from service.lines import line
from service.web.auth import Auth

__all__ = ("PolicyAuth", "is_policy")


_PARTS = ("authenticate", "get_login_url", "logout_url")


def is_policy(provider: object) -> bool:
    """Whether ``provider`` is one, and not an ``AuthProvider``."""
    return all(hasattr(provider, part) for part in _PARTS[:2])


@dataclass(frozen=True, slots=True)
class PolicyAuth(Auth):
    """Asks the policy; its login and logout pages are somebody else's."""

    policy: Any = None

    def __post_init__(self) -> None:
        """Raises ValueError for what would let in everybody."""
        missing = [part for part in _PARTS if not hasattr(self.policy, part)]
        if missing:
            raise ValueError(f"it has no {missing[0]}")

    @property
    def asks(self) -> bool:
        return True

    async def user(self, handler: RequestHandler) -> Any:
        """Who the policy says it is. Its plain functions run on a thread there (bokeh 3.10)."""
        return await _awaited(self.policy.authenticate(_request(handler.request)))

    async def login_location(self, handler: RequestHandler, root: str) -> str | None:
        # The second one does not block the event loop, where there is one.
        ask = getattr(self.policy, "get_login_url_async", self.policy.get_login_url)
        url: str | None = await _awaited(ask(_request(handler.request)))
        return url

    def logout_path(self, prefix: str) -> str | None:
        """As the policy has it, below the prefix unless it is absolute."""
        url = self.policy.logout_url
        return None if url is None else urljoin(prefix + "/", url.lstrip("/"))


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _request(request: HTTPServerRequest) -> Any:
    return line.server_request(
        method=request.method or "GET",
        uri=request.uri or "/",
        path=request.path,
        arguments={name: list(values) for name, values in request.arguments.items()},
        headers=dict(request.headers.items()),
        cookies={name: morsel.value for name, morsel in request.cookies.items()},
        remote_ip=request.remote_ip,
        protocol=request.protocol,
        host=request.host,
        query=request.query,
        **getattr(request, "host_facts", {}),  # where the server is mounted in a program that knows more
    )
