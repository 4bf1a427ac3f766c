"""From an HTTP request to the :class:`~store.contract.PageRequest` a session is opened with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tornado.httputil import HTTPServerRequest

from service.settings import Settings
from store.contract import PageRequest

__all__ = ("page_request", "request_from_payload")


def page_request(
    request: HTTPServerRequest, settings: Settings, payload: Mapping[str, Any], user: str | None = None
) -> PageRequest:
    """Apply the include and exclude lists, as ``bokeh serve`` does.

    The ``Cookie`` header is left out where the cookies say the same.
    """
    headers = {
        name: value
        for name, value in request.headers.items()
        if _wanted(name.lower(), settings.include_headers, settings.exclude_headers)
    }
    cookies = {
        name: morsel.value
        for name, morsel in request.cookies.items()
        if _wanted(name, settings.include_cookies, settings.exclude_cookies, fold=False)
    }
    if "cookie" not in _folded(settings.include_headers):
        headers.pop("Cookie", None)
    return PageRequest(
        method=request.method or "GET",
        uri=request.uri or "/",
        host=request.host,
        protocol=request.protocol,
        remote_ip=request.remote_ip or "",
        arguments={name: list(values) for name, values in request.arguments.items()},
        cookies=cookies,
        headers=headers,
        user=user,
        payload=dict(payload),
    )


def request_from_payload(
    request: HTTPServerRequest, payload: Mapping[str, Any], user: str | None = None
) -> PageRequest:
    """The request a Bokeh token carries inside, for sockets without a page of ours (``bokeh.client``)."""
    known = {"headers", "cookies", "arguments"}
    return PageRequest(
        method=request.method or "GET",
        uri=(request.uri or "/").removesuffix("/ws"),
        host=request.host,
        protocol={"ws": "http", "wss": "https"}.get(request.protocol, request.protocol),
        remote_ip=request.remote_ip or "",
        arguments={name: _byte_strings(values) for name, values in _dict(payload.get("arguments")).items()},
        cookies=_dict(payload.get("cookies")),
        headers=_dict(payload.get("headers")),
        user=user,
        payload={name: value for name, value in payload.items() if name not in known},
    )


def _wanted(name: str, include: Collection[str], exclude: Collection[str], *, fold: bool = True) -> bool:
    if fold:
        include, exclude = _folded(include), _folded(exclude)
    return name in include if include else name not in exclude


def _folded(names: Collection[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _byte_strings(values: Any) -> list[bytes]:
    values = values if isinstance(values, list) else []
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]
