"""The way that a browser goes, through whatever stands in front of the replicas: page, scripts, socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPError, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from service.doctor.findings import Finding, fine, problem, warning

__all__ = ("check_site",)

SECONDS = 20.0
"""For one answer."""

VISITS = 4
"""So that pages and sockets come to several replicas, where there are several."""

_TOKEN = re.compile(r'"token":"([^"]+)"')
_SCRIPT = re.compile(r'<script[^>]*\ssrc="([^"]*bokeh[^"]*\.js[^"]*)"')

_NO_ANSWER = 599
"""What Tornado gives for a status where there is none."""

_UNREACHABLE_ADVICE = "check the address, DNS, certificates and firewalls"

_PAGE_ADVICE = {
    401: "log in there: this command knows no password",
    403: "the app does not let this user in, or the proxy does not let this machine in",
    404: "is the path right? A proxy that leaves out a part of it needs --prefix, or has to keep it",
    502: "the proxy reaches no replica: its upstream, ports and health checks",
    503: "no replica is ready: svc status, and /readyz of each",
    504: "the proxy waits for less time than the app needs: raise its read timeout",
}
_SOCKET_ADVICE = {
    400: "let the proxy speak HTTP/1.1 to the replicas, and pass the headers Upgrade and Connection",
    401: "log in there: this command knows no password",
    404: "the proxy sends /ws elsewhere than the page",
    502: "the proxy reaches no replica: its upstream, ports and health checks",
    503: "no replica took it: svc status, and the log of the replicas",
    504: "let the proxy pass the headers Upgrade and Connection, and raise its read timeout",
}


async def check_site(url: str) -> AsyncIterator[Finding]:
    """Opens the page of an app at its public ``url`` a few times, as visitors do."""
    page = await _fetch(url)
    if isinstance(page, Finding):
        yield page
        return
    text = page.body.decode("utf-8", "replace")
    if not _TOKEN.search(text):
        where = f" (it led to {page.effective_url})" if page.effective_url != url else ""
        yield warning(
            "page",
            f"{url} is not the page of an app{where}",
            "give the address of one app, not of a login or index",
        )
        return
    yield fine("page", f"{page.effective_url} answers")
    yield await _scripts(page.effective_url, text)
    for finding in await _sockets(page.effective_url):
        yield finding


async def _fetch(url: str) -> HTTPResponse | Finding:
    try:
        return await AsyncHTTPClient().fetch(
            HTTPRequest(url, request_timeout=SECONDS, connect_timeout=SECONDS)
        )
    except HTTPClientError as error:
        if error.code == _NO_ANSWER:
            return problem("page", f"{url} cannot be reached: {error.message}", _UNREACHABLE_ADVICE)
        advice = _PAGE_ADVICE.get(error.code, "see the log of the replicas and of the proxy")
        return problem("page", f"{url} answers with {error.code}", advice)
    except (OSError, ValueError) as error:
        return problem("page", f"{url} cannot be reached: {error}", _UNREACHABLE_ADVICE)


async def _scripts(url: str, text: str) -> Finding:
    found = _SCRIPT.search(text)
    if found is None:
        return warning("scripts", "the page names no script of BokehJS", "is that a template of your own?")
    script = urljoin(url, found[1])
    answer = await _fetch(script)
    if isinstance(answer, Finding):
        return problem("scripts", answer.says, "let the proxy pass all paths below the app's prefix")
    kind = answer.headers.get("Content-Type", "")
    if "javascript" not in kind:
        return problem(
            "scripts", f"{script} is {kind or 'of no kind'}", "the proxy answers in the replicas' place"
        )
    if urlsplit(url).scheme == "https" and urlsplit(script).scheme == "http":
        return problem(
            "scripts",
            "an https page names scripts by http, which browsers refuse",
            "start svc serve with --use-xheaders, and let the proxy set X-Forwarded-Proto",
        )
    return fine("scripts", f"BokehJS is served from {urlsplit(script).netloc}")


async def _sockets(url: str) -> list[Finding]:
    """What came of some visits: one line where all went well, else what went wrong, once each."""
    visits = await asyncio.gather(*(_visit(url) for _ in range(VISITS)))
    bad = dict.fromkeys(found for found in visits if found is not None)
    return list(bad) or [fine("socket", f"a WebSocket opened on each of {VISITS} visits")]


async def _visit(url: str) -> Finding | None:
    """What went wrong."""
    page = await _fetch(url)
    if isinstance(page, Finding):
        return page
    token = _TOKEN.search(page.body.decode("utf-8", "replace"))
    return await _socket(url, token[1]) if token else None


async def _socket(url: str, token: str) -> Finding | None:
    parts = urlsplit(url)
    socket = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}/ws"
    request = HTTPRequest(
        socket, headers={"Origin": f"{parts.scheme}://{parts.netloc}"}, connect_timeout=SECONDS
    )
    try:
        async with asyncio.timeout(SECONDS):
            connection: WebSocketClientConnection = await websocket_connect(
                request, subprotocols=["bokeh", token]
            )
            first = await connection.read_message()
    except HTTPError as error:
        return _refused(error.code, parts.netloc) if error.code != _NO_ANSWER else _unanswered()
    except TimeoutError:
        return _unanswered()
    except (OSError, ValueError) as error:
        return problem("socket", f"it does not open: {error}", _SOCKET_ADVICE[400])
    connection.close()
    if first is None:
        return problem(
            "socket",
            f"it was closed at once ({connection.close_code} {connection.close_reason or ''})".strip(),
            "see the log of the replicas",
        )
    return None


def _unanswered() -> Finding:
    return problem("socket", f"nothing came within {SECONDS:g} s", _SOCKET_ADVICE[504])


def _refused(code: int, host: str) -> Finding:
    if code == 403:
        return problem(
            "socket",
            "it is refused (403): the replicas do not know this host, or have another secret key",
            f"--allow-websocket-origin {host} (or let the proxy pass the Host header), and the same "
            "--secret-key for all",
        )
    advice = _SOCKET_ADVICE.get(code, _SOCKET_ADVICE[400])
    return problem("socket", f"the request to open it is answered with {code}", advice)
