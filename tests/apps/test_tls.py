"""HTTPS served directly: certificate and key, an encrypted key, what is wrong with them, and relays."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.pages import Page
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from apps.conftest import PASSWORD, Certificate

TEMPLATED = "from bokeh.io import curdoc\ncurdoc().template_variables['who'] = 'you'\n"


class TlsReplica(Replica):
    """A replica that speaks https."""

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.prefix}"

    def wait_ready(self, timeout: float | None = None, *, after: int = 0) -> None:
        self.wait_line("running at: https://", timeout or 30, after=after)


def start(app: CountedApp, certificate: Certificate, key: list[str], **options: object) -> TlsReplica:
    args = ["--ssl-certfile", str(certificate.cert), *key]
    return TlsReplica([app.path], args=args, name="tls", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    return CountedApp(tmp_path_factory.mktemp("tls-app"), "templated", body=TEMPLATED)


@pytest.fixture(scope="module")
def pair(
    app: CountedApp, certificate: Certificate, redis_server: RedisServer
) -> Iterator[tuple[Replica, Replica]]:
    """Two replicas behind TLS; the second one's key is encrypted."""
    first = start(app, certificate, ["--ssl-keyfile", str(certificate.key)], redis_url=redis_server.url)
    second = start(
        app,
        certificate,
        ["--ssl-keyfile", str(certificate.encrypted)],
        redis_url=redis_server.url,
        env={"BOKEH_SSL_PASSWORD": PASSWORD},
    )
    with first, second:
        yield first, second


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.cert))


@pytest.mark.flags("--ssl-certfile", "--ssl-keyfile")
def test_the_page_comes_over_https(pair: tuple[Replica, Replica], certificate: Certificate) -> None:
    for replica in pair:
        context = trusting(certificate)
        with urllib.request.urlopen(replica.app_url(), timeout=40, context=context) as page:
            assert page.status == 200


async def test_a_session_is_relayed_between_replicas_over_https(
    pair: tuple[Replica, Replica], certificate: Certificate, app: CountedApp
) -> None:
    first, second = pair
    client = AsyncHTTPClient(force_instance=True)
    response = await client.fetch(HTTPRequest(first.app_url(), ssl_options=trusting(certificate)))
    client.close()
    page = Page(first.app_url(), 200, response.headers, response.body.decode(), {})
    runs = len(app.runs)

    url = f"wss{second.app_url().removeprefix('https')}/ws"
    request = HTTPRequest(url, ssl_options=trusting(certificate), headers={"Origin": f"http://{second.host}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", page.token])

    assert '"ACK"' in str(await asyncio.wait_for(socket.read_message(), 40))
    assert len(app.runs) == runs
    socket.close()
    while await asyncio.wait_for(socket.read_message(), 40) is not None:
        pass


@pytest.mark.parametrize("wrong", ["password", "key"])
def test_what_is_wrong_with_a_certificate_is_said_in_one_line(
    wrong: str, certificate: Certificate, app: CountedApp
) -> None:
    key = [] if wrong == "key" else ["--ssl-keyfile", str(certificate.encrypted)]
    argv = ["serve", str(app.path), "--port", "0", "--ssl-certfile", str(certificate.cert), *key]
    code = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"

    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--ssl-certfile" in done.stderr
