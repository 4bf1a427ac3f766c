"""From an HTTP request to the :class:`~store.contract.PageRequest` a session is opened with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from tornado.httputil import HTTPServerRequest

from service.apps.panel_login import LOGIN_COOKIE, TOKEN_COOKIES
from service.settings import WebSettings
from store.contract import PageRequest

__all__ = ("page_request", "request_from_payload")


def page_request(
    request: HTTPServerRequest,
    settings: WebSettings,
    payload: Mapping[str, Any],
    user: str | None = None,
    login: str = "",
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
    if settings.has_user_tokens:
        cookies, headers = _without_tokens(cookies, headers)
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
        login=login,
        payload=dict(payload),
    )


def request_from_payload(
    request: HTTPServerRequest,
    settings: WebSettings,
    payload: Mapping[str, Any],
    user: str | None = None,
    login: str = "",
) -> PageRequest:
    """The request a Bokeh token carries inside, for sockets without a page of ours (``bokeh.client``).

    What the token does not carry is taken from the socket's own request, as Bokeh does.
    """
    known = {"headers", "cookies", "arguments"}
    others = {name: value for name, value in payload.items() if name not in known}
    own = page_request(request, settings, others, user, login)
    path, mark, query = own.uri.partition("?")
    cookies = _dict(payload["cookies"]) if "cookies" in payload else dict(own.cookies)
    headers = _dict(payload["headers"]) if "headers" in payload else _without_token(own.headers)
    if settings.has_user_tokens:
        cookies, headers = _without_tokens(cookies, headers)
    return replace(
        own,
        uri=path.removesuffix("/ws") + mark + query,
        protocol={"ws": "http", "wss": "https"}.get(own.protocol, own.protocol),
        arguments=_byte_strings(payload["arguments"]) if "arguments" in payload else own.arguments,
        cookies=cookies,
        headers=headers,
    )


def _without_tokens(
    cookies: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What is stored with a session never has users' tokens in it; its code finds them all the same."""
    kept = {name: value for name, value in cookies.items() if name not in (*TOKEN_COOKIES, LOGIN_COOKIE)}
    return kept, {name: value for name, value in headers.items() if name.lower() != "cookie"}


def _without_token(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "sec-websocket-protocol"}


def _wanted(name: str, include: Collection[str], exclude: Collection[str], *, fold: bool = True) -> bool:
    if fold:
        include, exclude = _folded(include), _folded(exclude)
    return name in include if include else name not in exclude


def _folded(names: Collection[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _byte_strings(arguments: Any) -> dict[str, list[bytes]]:
    return {
        name: [value if isinstance(value, bytes) else str(value).encode() for value in values]
        for name, values in _dict(arguments).items()
        if isinstance(values, list)
    }
