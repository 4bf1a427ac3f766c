"""Replicas of two images side by side: files come from where they are, sockets go where their page fits."""

from __future__ import annotations

import asyncio
import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.lines import both_pythons
from harness.pages import get_page

BOUND = Path(__file__).parent.parent / "apps" / "panel_apps" / "bound.py"


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Fleet:
    return start_fleet([examples / "sliders.py", BOUND], n=2, pythons=both_pythons())


def fetched(url: str) -> tuple[int, Message, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


async def files_of(page_at: str) -> list[str]:
    """Paths of a page's scripts and style sheets, with their queries."""
    text = (await get_page(page_at)).text
    found = re.findall(r'(?:src|href)="([^"]*static/[^"]*\?v=[^"]*)"', text)
    assert any("bokeh.min.js" in each for each in found)
    return [urlsplit(urljoin(page_at, each))._replace(scheme="", netloc="").geturl() for each in found]


@pytest.mark.parametrize("app", ["sliders", "bound"])
async def test_each_replica_gives_the_files_of_either_version(fleet: Fleet, app: str) -> None:
    for maker in fleet.replicas:
        for path in await files_of(maker.app_url(app)):
            own, other = [await asyncio.to_thread(fetched, f"{each.url}{path}") for each in fleet.replicas]
            assert own[0] == other[0] == 200
            assert own[2] == other[2]
            assert "immutable" in own[1]["Cache-Control"]
            assert "immutable" in other[1]["Cache-Control"]
            assert own[1]["Content-Type"] == other[1]["Content-Type"]
            if "/extensions/" not in path:
                (version,) = parse_qs(urlsplit(path).query)["v"]
                assert hashlib.sha256(other[2]).hexdigest().startswith(version)


async def test_what_nobody_has_is_absent_for_now(fleet: Fleet) -> None:
    for replica in fleet.replicas:
        status, headers, _ = await asyncio.to_thread(
            fetched, f"{replica.url}/static/js/bokeh.min.js?v=0123456789abcdef"
        )
        assert (status, headers["Cache-Control"]) == (404, "no-store")


def lives_at(fleet: Fleet, session_id: str) -> Replica:
    """The replica that owns the session, by what the store says."""
    (key,) = [key for key in fleet.redis.command("KEYS", "svc:*:session") if owner_of(fleet, key, session_id)]
    owner = owner_of(fleet, key, session_id)
    return next(replica for replica in fleet.replicas if replica.matching(f"replica {owner} listens"))


def owner_of(fleet: Fleet, key: bytes, session_id: str) -> str | None:
    found = fleet.redis.command("HMGET", key, "session_id", "owner")
    return found[1].decode() if found[0] == session_id.encode() else None


@pytest.mark.parametrize("app", ["sliders", "bound"])
async def test_a_socket_is_served_by_a_replica_of_its_pages_version(fleet: Fleet, app: str) -> None:
    for maker, other in (fleet.replicas, fleet.replicas[::-1]):
        page = await get_page(maker.app_url(app))
        client = Client(other.app_url(app), page.token)
        await client.connect()
        try:
            assert lives_at(fleet, page.session_id) is maker
            await client.connect()  # as after a lost connection
            assert lives_at(fleet, page.session_id) is maker
        finally:
            await client.close()


async def test_a_page_for_a_session_elsewhere_is_made_there(fleet: Fleet) -> None:
    """Whoever comes to a session by its id gets scripts that fit the replica that holds it."""
    for holder, other in (fleet.replicas, fleet.replicas[::-1]):
        for app in ("sliders", "bound"):
            page = await get_page(holder.app_url(app))
            client = Client(holder.app_url(app), page.token)
            await client.connect()
            try:
                named = f"?bokeh-session-id={page.session_id}"
                files, wanted = [await files_of(f"{each.app_url(app)}{named}") for each in (other, holder)]
                assert bokehjs(files) == bokehjs(wanted)
                script = f"/autoload.js{named}&bokeh-autoload-element=here"
                urls = [f"{each.app_url(app)}{script}" for each in (holder, other)]
                ours, theirs = [await asyncio.to_thread(fetched, url) for url in urls]
                assert bokehjs(scripts(ours[2])) == bokehjs(scripts(theirs[2]))
            finally:
                await client.close()


def bokehjs(files: list[str]) -> str:
    (found,) = {each.rpartition("/")[2] for each in files if "/bokeh.min.js" in each}
    return found


def scripts(autoload: bytes) -> list[str]:
    return re.findall(r'static/[^"\\]*\?v=[0-9a-f.]+', autoload.decode())
