"""The configurations in examples/deploy, run by the real programs: page, WebSocket and patch through each."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from devfleet.ports import free_port, wait_open
from devfleet.processes import Process
from devfleet.redis_server import RedisServer, eventually
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.pages import get_page
from harness.tools import require
from harness.visit import visit
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from apps.conftest import Certificate

MODULES = (
    "mpm_event authz_core proxy proxy_http proxy_wstunnel proxy_balancer "
    "lbmethod_byrequests slotmem_shm headers"
)
ORIGINS = ["--use-xheaders", "--allow-websocket-origin", "127.0.0.1:*"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    return CountedApp(tmp_path_factory.mktemp("deployed"), "sliders")


@pytest.fixture(scope="module")
def replicas(app: CountedApp, redis_server: RedisServer) -> Iterator[list[Replica]]:
    """Three of them; configurations for one get the first."""
    started = [
        Replica([app.path], name=f"replica {n}", redis_url=redis_server.url, args=ORIGINS) for n in range(3)
    ]
    try:
        for each in started:
            each.start(ready=False)
        for each in started:
            each.wait_started()
        yield started
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.stop()


@pytest.fixture
def run(replicas: list[Replica], examples: Path, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Runs a program with a configuration whose ports and paths are ours; the port it listens on."""
    running: list[Process] = []

    def start(
        source: str,
        argv: Callable[[Path], list[str]],
        wrap: str = "%s",
        to: Sequence[Replica] = replicas,
        **changes: str,
    ) -> int:
        text = (examples / "deploy" / source).read_text()
        for number, replica in enumerate(to):
            text = text.replace(f"127.0.0.1:510{number}", replica.host)
        port = free_port()
        for old, new in changes.items():
            text = text.replace(old, new.replace("PORT", str(port)))
        config = tmp_path / Path(source).name
        config.write_text(wrap.replace("PORT", str(port)).replace("%s", text))
        running.append(Process(source, argv(config)).start())
        wait_open(port, 30)
        return port

    yield start
    for each in running:
        each.stop(timeout=30)  # Apache gives its children time


async def visits(base: str, app: CountedApp, *, count: int = 6) -> None:
    """The app opens, once per visit, and what is not for visitors is closed to them."""
    before = len(app.runs)
    for _ in range(count):
        await visit(f"{base}/sliders")
    assert len(app.runs) - before == count
    await closed_to_visitors(base)


async def closed_to_visitors(base: str, tls: ssl.SSLContext | None = None) -> None:
    client = AsyncHTTPClient(force_instance=True)
    for path in ("/_svc/relay", "/metrics", "/healthz", "/readyz", "/startupz", "/admin", "/admin/ws"):
        response = await client.fetch(HTTPRequest(base + path, ssl_options=tls), raise_error=False)
        assert response.code == 404, path
    client.close()


# -- nginx -----------------------------------------------------------------------------------------


def nginx(home: Path) -> tuple[Callable[[Path], list[str]], str]:
    program = require("nginx")
    paths = "".join(
        f"{name}_temp_path {home}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    wrap = f"{user} daemon off; pid {home}/nginx.pid; error_log stderr; events {{}}\n"
    wrap += f"http {{ access_log off; {paths}\n%s\n}}\n"
    return lambda config: [program, "-e", "stderr", "-p", str(home), "-c", str(config)], wrap


@pytest.mark.parametrize("name", ["single", "balanced"])
async def test_nginx(name: str, run: Callable[..., int], tmp_path: Path, app: CountedApp) -> None:
    argv, wrap = nginx(tmp_path)

    port = run(f"nginx/{name}.conf", argv, wrap, **{"listen 80;": "listen 127.0.0.1:PORT;"})

    await visits(f"http://127.0.0.1:{port}", app)


FATAL = """
import os
from bokeh.io import curdoc
from bokeh.models import Div

if "fatal" in curdoc().session_context.request.arguments:
    os._exit(139)
curdoc().template_variables["shown"] = "by the app"
curdoc().add_root(Div())
"""
PAGE = "{% extends base %}{% block contents %}{{ shown }}{% endblock %}"


async def test_a_page_view_that_ends_replicas_does_not_end_all_of_them(
    run: Callable[..., int], replica: Callable[..., Replica], redis_server: RedisServer, tmp_path: Path
) -> None:
    app = CountedApp(tmp_path, "fatal", body=FATAL, files={"templates/index.html": PAGE})
    three = [replica([app.path], redis_url=redis_server.url, args=ORIGINS) for _ in range(3)]
    for each in three:  # to build it is not what ends them
        assert "by the app" in (await get_page(each.app_url())).text
    argv, wrap = nginx(tmp_path)
    port = run("nginx/balanced.conf", argv, wrap, to=three, **{"listen 80;": "listen 127.0.0.1:PORT;"})
    url = f"http://127.0.0.1:{port}/fatal"

    assert (await get_page(url, arguments={"fatal": "1"})).status == 502

    eventually(lambda: sum(each.running for each in three) == 1, what="two of them ended")
    assert (await get_page(url)).status == 200


async def test_nginx_with_tls(run: Callable[..., int], tmp_path: Path, certificate: Certificate) -> None:
    argv, wrap = nginx(tmp_path)
    changes = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": "listen 127.0.0.1:PORT ssl;",
        "/etc/ssl/svc/cert.pem": str(certificate.cert),
        "/etc/ssl/svc/key.pem": str(certificate.key),
    }

    port = run("nginx/tls.conf", argv, wrap, **changes)

    tls = ssl.create_default_context(cafile=str(certificate.cert))
    await visit(f"https://127.0.0.1:{port}/sliders", tls)
    await closed_to_visitors(f"https://127.0.0.1:{port}", tls)


# -- the others ------------------------------------------------------------------------------------


async def test_haproxy(run: Callable[..., int], app: CountedApp) -> None:
    program = require("haproxy")

    port = run(
        "haproxy/haproxy.cfg",
        lambda config: [program, "-db", "-f", str(config)],
        **{"bind :80": "bind 127.0.0.1:PORT"},
    )

    await visits(f"http://127.0.0.1:{port}", app)


@pytest.mark.parametrize("name", ["proxy", "balancer"])
async def test_apache(name: str, run: Callable[..., int], tmp_path: Path, app: CountedApp) -> None:
    program = require("apache2")
    folder = "/usr/lib/apache2/modules"
    wrap = "".join(f"LoadModule {each}_module {folder}/mod_{each}.so\n" for each in MODULES.split())
    wrap += f"ServerName localhost\nListen 127.0.0.1:PORT\nPidFile {tmp_path}/pid\nErrorLog /dev/stderr\n"
    wrap += f"DefaultRuntimeDir {tmp_path}\nUser www-data\nGroup www-data\n%s"

    port = run(
        f"apache/{name}.conf",
        lambda config: [program, "-DFOREGROUND", "-d", str(tmp_path), "-f", str(config)],
        wrap,
        **{"<VirtualHost *:80>": "<VirtualHost 127.0.0.1:PORT>"},
    )

    await visits(f"http://127.0.0.1:{port}", app)


async def test_supervisor(examples: Path, tmp_path: Path, app: CountedApp, redis_server: RedisServer) -> None:
    program = require("supervisord")
    text = (examples / "deploy/supervisor/svc.conf").read_text()
    svc = f"{sys.executable} -c 'import sys; from service.cli.main import main; sys.exit(main())'"
    for old, new in {
        "/opt/svc/venv/bin/svc": svc, "redis://127.0.0.1:6379": redis_server.url,
        "--port 51%(process_num)02d": "--port 0", "--allow-websocket-origin dashboards.example.com":
        "--allow-websocket-origin 127.0.0.1:* --drain-delay 0", "user=svc\n": "",
        "/opt/svc/apps/sliders.py": str(app.path),
    }.items():  # fmt: skip
        assert old in text, old
        text = text.replace(old, new)
    config = tmp_path / "supervisord.conf"
    head = f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={tmp_path}/pid\n"
    config.write_text(head + text + f"stdout_logfile={tmp_path}/%(process_num)d.log\n")

    with Process("supervisord", [program, "-n", "-c", str(config)]):
        ports = [await running_port(tmp_path / f"{number}.log") for number in range(3)]
        for port in ports:
            await visit(f"http://127.0.0.1:{port}/sliders")


async def running_port(log: Path) -> str:
    """From the log of a process that Supervisor started, once it is there."""
    async with asyncio.timeout(60):
        while True:
            written = log.read_text() if log.exists() else ""  # noqa: ASYNC240 - a small file
            if found := re.search(r"running at: \S+:(\d+)/", written):
                return found[1]
            await asyncio.sleep(0.05)
