"""Fetching an app's page over HTTP, and reading from it what BokehJS would read: the session token."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

_TOKEN = re.compile(r"""\\?["']token\\?["']\s*:\s*\\?["']([^"'\\]+)""")
_ROOTS = re.compile(r"""["']roots["']\s*:\s*(\{[^}]*\})""")


@dataclass(frozen=True)
class Page:
    """An HTTP answer. `cookies` are those to send from now on: the given ones and what the server set."""

    url: str
    status: int
    headers: HTTPHeaders
    text: str
    cookies: Mapping[str, str]

    @property
    def token(self) -> str:
        """The session token in the page; AssertionError if there is none."""
        found = _TOKEN.search(unescape(self.text))
        assert found, f"no token in {self.url} ({self.status}):\n{self.text[:2000]}"
        return found[1]

    @property
    def session_id(self) -> str:
        """The session id, read from the token as BokehJS does."""
        return str(token_head(self.token)["session_id"])

    @property
    def roots(self) -> dict[str, str]:
        """Root model id → element id; empty for a page made without the Document."""
        found = _ROOTS.search(self.text)
        return dict(json.loads(found[1])) if found else {}

    def json(self) -> Any:
        return json.loads(self.text)


def token_head(token: str) -> dict[str, Any]:
    """The base64 JSON before a token's first dot: all that BokehJS ever reads of it. Not verified."""
    head = token.split(".", 1)[0]
    return dict(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))))


async def post(
    url: str, fields: Mapping[str, str], cookies: Mapping[str, str], **headers: str
) -> HTTPResponse:
    """POST a form to `url`, whatever the status; redirects are not followed."""
    return await _fetch(
        HTTPRequest(
            url,
            method="POST",
            body=urlencode(fields),
            headers=request_headers(headers, cookies),
            follow_redirects=False,
        )
    )


async def get_page(
    url: str,
    *,
    session_id: str | None = None,
    arguments: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    follow: bool = True,
    timeout: float = 40,
) -> Page:
    """GET `url`, whatever the status. `session_id` asks for that session, as an embedding page does."""
    asked = dict(arguments or {})
    if session_id is not None:
        asked["bokeh-session-id"] = session_id
    request = HTTPRequest(
        f"{url}?{urlencode(asked)}" if asked else url,
        headers=request_headers(headers, cookies),
        follow_redirects=follow,
        request_timeout=timeout,
    )
    response = await _fetch(request)
    return Page(
        url=response.effective_url,
        status=response.code,
        headers=response.headers,
        text=response.body.decode("utf-8", "replace"),
        cookies={**(cookies or {}), **_set_cookies(response.headers)},
    )


def request_headers(headers: Mapping[str, str] | None, cookies: Mapping[str, str] | None) -> HTTPHeaders:
    made = HTTPHeaders(headers or {})
    if cookies:
        made["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return made


async def _fetch(request: HTTPRequest) -> HTTPResponse:
    with _http_client() as client:
        return await client.fetch(request, raise_error=False)


@contextmanager
def _http_client() -> Iterator[AsyncHTTPClient]:
    client = AsyncHTTPClient(force_instance=True)
    try:
        yield client
    finally:
        client.close()


def _set_cookies(headers: HTTPHeaders) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for line in headers.get_list("Set-Cookie"):
        jar.load(line)
    return {name: morsel.value for name, morsel in jar.items()}
