"""Static files: kept for good with a version in the URL, asked for again without; compressed."""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from devfleet.replica import Replica

from service.documents.extensions import extension_version
from service.web.resources import bokehjs_directory

FRONTS = ("tornado", "uvicorn")

FILE = "/static/js/bokeh.min.js"


def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def cache_control(server: Replica, path: str, status: int = 200) -> str:
    answer = ask(server, path)
    assert answer.status == status
    return answer.headers.get("Cache-Control", "")


def test_a_browser_may_keep_what_the_url_names(server: Replica) -> None:
    version = digest_of(bokehjs_directory() / "js" / "bokeh.min.js")
    assert "immutable" in cache_control(server, f"{FILE}?v={version}")


def test_another_version_is_not_to_be_had_and_its_absence_is_not_kept(server: Replica) -> None:
    assert cache_control(server, f"{FILE}?v=0123456789abcdef", status=404) == "no-store"


def test_without_a_version_a_browser_asks_again_each_time(server: Replica) -> None:
    assert cache_control(server, FILE) == "no-cache"
    assert cache_control(server, f"{FILE}?v=mine") == "no-cache"


def test_files_of_an_extension_are_named_by_the_version_of_its_package(server: Replica) -> None:
    url, version = "/static/extensions/panel/css/button.css", extension_version("panel")
    main = "/static/extensions/panel/panel.min.js"
    assert "immutable" in cache_control(server, f"{url}?v={version}")
    assert "immutable" in cache_control(server, f"{main}?v={hashlib.sha256(version.encode()).hexdigest()}")
    assert cache_control(server, f"{url}?v=0.1", status=404) == "no-store"
    assert cache_control(server, url) == "no-cache"
    assert cache_control(server, "/static/extensions/panel/css/none.css?v=1", status=404) == "no-store"
    assert cache_control(server, "/static/extensions/nobody/x.js?v=1", status=404) == "no-store"


def test_of_an_apps_own_files_any_version_gets_what_there_is(
    tmp_path: Path, replica: Callable[..., Replica]
) -> None:
    """Its author may count them as he likes; only a digest of the file lets it stay in a cache."""
    static = tmp_path / "own" / "static"
    static.mkdir(parents=True)
    (tmp_path / "own" / "main.py").write_text("")
    (static / "own.css").write_text("p {}")
    server, url = replica([tmp_path / "own"]), "/own/static/own.css"
    for version in ("2", "0123456789abcdef"):
        assert cache_control(server, f"{url}?v={version}") == "no-cache"
    assert cache_control(server, url) == "no-cache"
    assert "immutable" in cache_control(server, f"{url}?v={digest_of(static / 'own.css')}")
    assert cache_control(server, "/own/static/none.css?v=2", status=404) == "no-store"


def test_files_are_for_replicas_only_with_a_token_for_that_very_file(server: Replica) -> None:
    assert ask(server, f"/_svc/file{FILE}").status == 403
    assert ask(server, f"/_svc/file{FILE}", Authorization="Bearer abc").status == 403


# -- compressed ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def content(self) -> bytes:
        return gzip.decompress(self.body) if self.headers.get("Content-Encoding") == "gzip" else self.body


def ask(server: Replica, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{server.url}{path}", headers=named)
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as other:
        with other:
            return Answer(other.code, other.headers, other.read())


def ask_packed(server: Replica, path: str) -> Answer:
    """Ask until the packed copy is there: the first who asks gets the file as it is."""
    deadline = time.monotonic() + 30
    while (answer := ask(server, path, Accept_Encoding="gzip, br")).headers["Content-Encoding"] != "gzip":
        assert time.monotonic() < deadline, "it was never packed"
    return answer


def test_a_file_is_the_same_packed_and_as_it_is(server: Replica) -> None:
    plain = ask(server, FILE)
    packed = ask_packed(server, FILE)
    assert plain.headers["Content-Encoding"] is None
    assert packed.content == plain.content == (bokehjs_directory() / "js" / "bokeh.min.js").read_bytes()
    assert len(packed.body) < len(plain.body) / 3
    for name in ("Content-Type", "Vary", "Last-Modified"):
        assert packed.headers[name] == plain.headers[name]
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["Etag"] != plain.headers["Etag"]


def test_a_packed_file_that_is_known_is_not_sent_again(server: Replica) -> None:
    etag = ask_packed(server, FILE).headers["Etag"]
    again = ask(server, FILE, Accept_Encoding="gzip", If_None_Match=etag)
    assert (again.status, again.body) == (304, b"")


def test_a_part_of_a_file_is_a_part_of_it_as_it_is(server: Replica) -> None:
    ask_packed(server, FILE)
    part = ask(server, FILE, Accept_Encoding="gzip", Range="bytes=0-9")
    assert part.status == 206
    assert part.headers["Content-Encoding"] is None
    assert part.body == ask(server, FILE).body[:10]


def test_a_file_that_changed_is_packed_anew(replica: Callable[..., Replica], tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "static").mkdir(parents=True)
    (app / "main.py").write_text("")
    file = app / "static" / "style.css"
    file.write_text("a { color: red }\n" * 100)
    server = replica([app])
    ask_packed(server, "/app/static/style.css")
    file.write_text("b { color: blue }\n" * 100)
    assert ask(server, "/app/static/style.css", Accept_Encoding="gzip").content == file.read_bytes()
    assert ask_packed(server, "/app/static/style.css").content == file.read_bytes()


@pytest.mark.parametrize("path", ["/static/../main.py", "/static/%2e%2e/__init__.py", "/static/js/none.js"])
def test_what_is_not_to_be_had_is_not_to_be_had_packed(server: Replica, path: str) -> None:
    assert ask(server, path, Accept_Encoding="gzip").status in (403, 404)


def test_a_killed_process_leaves_no_copies_for_good(
    replica: Callable[..., Replica], examples: Path, tmp_path: Path
) -> None:
    def folders() -> set[Path]:
        return set(tmp_path.glob("svc-static-*"))

    def started() -> Replica:
        server = replica([examples / "sliders.py"], env={"TMPDIR": str(tmp_path)})
        ask_packed(server, FILE)
        return server

    living, killed = started(), started()
    both = folders()
    killed.kill()
    assert folders() == both
    started()
    (gone,) = both - folders()
    assert len(folders()) == len(both) == 2
    living.stop()
    assert gone not in folders()
    assert len(folders()) == 1


# -- the event loop ------------------------------------------------------------------------------

STALLING = """
import os
from pathlib import Path

stat = os.stat

def stalling(path, *args, **kwargs):
    if str(path).endswith("slow.css"):
        os.stat = stat
        Path(__file__).with_name("gate").read_bytes()
    return stat(path, *args, **kwargs)

def on_server_loaded(server_context):
    os.stat = stalling
"""


def opened_for_writing(pipe: Path) -> int:
    """As soon as somebody reads it."""
    deadline = time.monotonic() + 30
    while True:
        with suppress(OSError):
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        assert time.monotonic() < deadline, "nobody looked at the file"
        time.sleep(0.01)


def test_a_disk_that_stalls_stops_nobody_else(replica: Callable[..., Replica], tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "static").mkdir(parents=True)
    (app / "main.py").write_text("")
    (app / "app_hooks.py").write_text(STALLING)
    (app / "static" / "slow.css").write_text("a { color: red }\n" * 100)
    os.mkfifo(app / "gate")
    server = replica([app])

    with ThreadPoolExecutor() as pool:
        slow = pool.submit(ask, server, "/app/static/slow.css")
        gate = opened_for_writing(app / "gate")
        try:
            assert server.status("/app", timeout=40) == 200
            assert ask(server, FILE).status == 200
            assert not slow.done()
        finally:
            os.close(gate)
        assert slow.result().body == (app / "static" / "slow.css").read_bytes()
