"""An HTTP server on loopback in a thread, as providers of logins are here."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl


class Provider:
    """Answers from `with` on, by `handler`, which knows it as `provider`."""

    def __init__(self, handler: type[ProviderHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"provider": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ProviderHandler(BaseHTTPRequestHandler):
    provider: Any

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, content: dict[str, Any] | None, refused: int = 400) -> None:
        body = json.dumps(content if content is not None else {"error": "invalid_grant"}).encode()
        self.send_response(200 if content is not None else refused)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


def challenge_of(verifier: str) -> str:
    """What PKCE (S256) says of it beforehand."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
