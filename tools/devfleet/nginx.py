"""A real nginx as an ordinary user would put it before a few servers: round robin, no affinity.

Its whole life is in one temporary directory. Each answer carries `X-Served-By`, so that a test can tell
which replica gave it; nothing else in the configuration is special.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from devfleet.ports import LOOPBACK, free_port, is_open
from devfleet.processes import Process, ProcessFailed

_ATTEMPTS = 3

_CONF = """\
{user}
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    client_max_body_size 64m;
    # Nothing of ours is long, but what browsers bring along may be: cookies of other apps on the host.
    large_client_header_buffers 4 32k;

    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}

    upstream replicas {{
        {method}
{servers}
    }}

    server {{
        listen {address};
        location {below}/ {{
            proxy_pass http://replicas{uri};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            add_header X-Served-By $upstream_addr always;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """The path of the program; Debian keeps it where an ordinary user's PATH does not look."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class Nginx(Process):
    """A balancer over `upstreams` (each a `host:port`), listening on a free loopback port.

    `method` is a directive for them, such as `random;` instead of round robin. `below` is a path that it
    takes away from what it passes on, and tells nobody.
    """

    orphan_signal = "TERM"  # to the master process, which ends its workers

    def __init__(
        self,
        upstreams: Sequence[str],
        *,
        port: int | None = None,
        name: str = "nginx",
        method: str = "",
        below: str = "",
    ) -> None:
        super().__init__(name, [])
        self.method = method
        self.below = below
        self.upstreams = list(upstreams)
        self.port = port or free_port()
        self._fixed_port = port is not None
        self._home: tempfile.TemporaryDirectory[str] | None = None

    @property
    def host(self) -> str:
        """`host:port`, as in an Origin or Host header."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.below}"

    def start(self) -> Self:
        """Spawns nginx; returns when it accepts connections."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            self._home = self._home or tempfile.TemporaryDirectory(prefix="nginx-")
            self._write_conf()
            self.argv = [
                find_nginx() or "nginx",
                "-e",
                "stderr",
                "-p",
                self._home.name,
                "-c",
                self._conf.name,
            ]
            first = len(self.lines)
            super().start()
            try:
                self.wait_line("start worker process", 10, after=first)
                break
            except ProcessFailed:
                self.stop()
                if not attempts_left or self._fixed_port or not is_open(self.port):
                    raise
                self.port = free_port()
        return self

    def stop(self, timeout: float = 10) -> int | None:
        """SIGTERM: nginx' fast shutdown, which cuts open WebSockets."""
        code = super().stop(timeout)
        if self._home is not None:
            self._home.cleanup()
            self._home = None
        return code

    def balance(self, upstreams: Sequence[str]) -> None:
        """Balances over these from now on. Open connections stay where they are (nginx' reload)."""
        self.upstreams = list(upstreams)
        self._write_conf()
        first = len(self.lines)
        self.send_signal(signal.SIGHUP)
        self.wait_line("gracefully shutting down", after=first)

    @property
    def _conf(self) -> Path:
        assert self._home is not None
        return Path(self._home.name, "nginx.conf")

    def _write_conf(self) -> None:
        upstreams = [*self.upstreams] or [f"{LOOPBACK}:1 down"]  # nginx wants one
        servers = "\n".join(f"        server {upstream} max_fails=0;" for upstream in upstreams)
        self._conf.write_text(
            _CONF.format(
                home=self._conf.parent,
                address=self.host,
                servers=servers,
                method=self.method,
                below=self.below,
                uri="/" if self.below else "",
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
