"""What can go wrong between us and Redis: which error it is, that it comes, and what it gives away."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.redis_server import RedisServer, free_port

from store.contract import Heartbeat, JournalWrite, Outcome, PageRequest, SessionKey, Written
from store.errors import StoreConfigError, StoreFull, StoreUnavailable
from store.probe import find_problem
from store.records import Payload, pack_entry, unpack_entry
from store.redis_store import RedisStore

KEY = SessionKey("/app", "x")
BEAT = Heartbeat("a", "http://a", "1", 0.0)
Opened = Callable[..., RedisStore]

pytestmark = pytest.mark.redis


async def use(store: RedisStore) -> None:
    """Something of each way to send: a command, a script, a pipeline."""
    claim = await store.claim(KEY, "a", request=PageRequest())
    await store.put_handoff(KEY, "t", PageRequest(), 10)
    await store.beat(BEAT, ttl=5, opened=[KEY])
    assert [record.epoch for record in await store.sessions("a")] == [claim.epoch]


# -- away ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:{port}",
        "unix:///nowhere/redis.sock",
        "redis+sentinel://127.0.0.1:{port}/main",
        "redis+cluster://127.0.0.1:{port}",
        "redis://host.invalid",
    ],
)
async def test_nobody_there(url: str, opened: Opened) -> None:
    store = opened(url.format(port=free_port()), patience=0.5)
    for attempt in (store.ping(), store.read(KEY), store.beat(BEAT, ttl=5)):
        with pytest.raises(StoreUnavailable, match="not available"):
            await attempt


async def test_a_server_that_hangs(own_redis_server: Callable[..., RedisServer], opened: Opened) -> None:
    server = own_redis_server()
    store = opened(server.url, patience=0.5)
    await use(store)

    server.pause()
    with pytest.raises(StoreUnavailable):
        await store.claim(KEY, "a")  # while it still hangs

    server.resume()
    await use(store)


async def test_many_callers_of_a_server_that_hangs(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    """Waiting for one of few connections is bounded too: in turn it would take minutes."""
    server = own_redis_server()
    store = opened(server.url, patience=0.5, connections=3)
    server.pause()
    async with asyncio.timeout(60):
        results = await asyncio.gather(*(store.read(KEY) for _ in range(1000)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    server.resume()
    assert await asyncio.gather(*(store.read(KEY) for _ in range(50))) == [None] * 50


async def test_a_server_that_comes_back(
    own_redis_server: Callable[..., RedisServer], opened: Opened, until: Any, caplog: Any
) -> None:
    caplog.set_level("DEBUG", "store.link")
    server = own_redis_server()
    store = opened(server.url, patience=5)
    await use(store)

    server.kill()
    waiting = asyncio.create_task(store.claim(KEY, "a", request=PageRequest()))

    async def refused() -> bool:
        return "next attempt" in caplog.text

    await until(refused)
    await asyncio.to_thread(server.start)

    assert (await waiting).outcome is Outcome.OWN
    await use(store)


async def test_connections_cut_while_idle_do_not_show(redis_server: RedisServer, opened: Opened) -> None:
    redis_server.command("FLUSHALL")
    store = opened(redis_server.url)
    for _ in range(3):
        await use(store)
        redis_server.command("CLIENT", "KILL", "TYPE", "normal")


async def test_a_blocked_event_loop_is_not_a_store_that_is_away(
    redis_server: RedisServer, opened: Opened
) -> None:
    redis_server.command("FLUSHALL")
    store = opened(redis_server.url, patience=0.2)
    await store.ping()
    reading = asyncio.create_task(store.read(KEY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  the app's callback that does this is the point
    assert await reading is None


async def test_a_cancelled_call_leaves_the_connection_usable(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    server = own_redis_server()
    store = opened(server.url, connections=1, patience=2)
    await use(store)
    server.pause()
    reading = asyncio.create_task(store.agree_secret("x", "y"))
    for _ in range(20):
        await asyncio.sleep(0)  # it sends, and waits for the reply
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    server.resume()
    await use(store)


async def test_a_closed_store_says_so(store: RedisStore) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        await store.read(KEY)


# -- lost replies --------------------------------------------------------------------------------


@asynccontextmanager
async def proxy_losing_replies(port: int) -> AsyncIterator[Callable[[int], None]]:
    """A proxy on a socket of its own that cuts the connection instead of giving the next replies."""
    losing = 0

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies: bool) -> None:
        nonlocal losing
        while data := await reader.read(65536):
            if replies and losing:
                losing -= 1
                break
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            there = group.create_task(pump(reader, server_writer, replies=False))
            await pump(server_reader, writer, replies=True)
            there.cancel()
        server_writer.close()

    def lose(count: int) -> None:
        nonlocal losing
        losing = count

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    lose.port = proxy.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield lose
    finally:
        proxy.close()


@pytest.fixture
async def losing(redis_server: RedisServer, opened: Opened) -> AsyncIterator[Any]:
    """A store, and what makes it lose the next reply."""
    redis_server.command("FLUSHALL")
    async with proxy_losing_replies(redis_server.port) as lose:
        store = opened(f"redis://127.0.0.1:{lose.port}")  # type: ignore[attr-defined]
        await store.agree_secret("warm", "up")
        yield store, lambda: lose(1)
        await store.close()


async def test_a_claim_whose_reply_is_lost_still_knows_that_it_made_the_record(losing: Any) -> None:
    store, lose = losing
    lose()
    assert (await store.claim(KEY, "a", request=PageRequest())).created is True
    assert (await store.claim(KEY, "a", request=PageRequest())).created is False


async def test_a_first_beat_whose_reply_is_lost_still_counts_as_the_first(losing: Any) -> None:
    store, lose = losing
    lose()
    assert (await store.beat(BEAT, ttl=5)).known is False
    assert (await store.beat(BEAT, ttl=5)).known is True


async def test_transitions_whose_reply_is_lost(losing: Any) -> None:
    store, lose = losing
    first = await store.claim(KEY, "a", request=PageRequest())
    lose()
    second = await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert second.outcome is Outcome.OWN
    lose()
    assert await store.release(KEY, "b", epoch=second.epoch, retention=10) is True
    third = await store.claim(KEY, "c")
    lose()
    assert await store.discard(KEY, owner="c", epoch=third.epoch) is True
    lose()
    assert await store.agree_secret("new", "one") == "one"


async def test_a_large_value_is_sent_again(losing: Any) -> None:
    store, lose = losing
    column = bytes(range(256)) * 20_000
    epoch = (await store.claim(KEY, "a", request=PageRequest())).epoch
    large = JournalWrite(KEY, epoch, 1, {"x": pack_entry([Payload(column)])})
    lose()
    assert await store.write_journals("a", [large]) == [Written.OK]
    assert unpack_entry((await store.read_journal(KEY))["x"]) == [column]


# -- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:{port}", "redis://me:hunter2@127.0.0.1:{port}"])
async def test_a_wrong_password(
    url: str, own_redis_server: Callable[..., RedisServer], opened: Opened, caplog: Any
) -> None:
    caplog.set_level("DEBUG", "store.link")
    server = own_redis_server(requirepass="correct-horse")
    store = opened(url.format(port=server.port))
    for attempt in (store.ping(), store.beat(BEAT, ttl=5)):
        with pytest.raises(StoreConfigError, match="check user name, password") as refused:
            await attempt
        shown = "".join(traceback.format_exception(refused.value))
        assert "hunter2" not in shown
        assert "correct-horse" not in shown
    assert "next attempt" not in caplog.text, "retrying cannot help"


async def test_no_password_where_one_is_needed(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    server = own_redis_server(requirepass="correct-horse")
    with pytest.raises(StoreConfigError, match="check user name, password"):
        await opened(server.url).ping()
    await use(opened(f"redis://:correct-horse@127.0.0.1:{server.port}"))


async def test_a_user_that_may_not_run_scripts(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    server = own_redis_server()
    server.command("ACL", "SETUSER", "weak", "on", ">hunter2", "~*", "+@all", "-evalsha", "-eval")
    store = opened(f"redis://weak:hunter2@127.0.0.1:{server.port}")
    await store.ping()
    with pytest.raises(StoreConfigError, match="permissions"):
        await store.claim(KEY, "a", request=PageRequest())
    with pytest.raises(StoreConfigError, match="permissions"):
        await store.beat(BEAT, ttl=5)


async def test_a_database_that_does_not_exist(redis_server: RedisServer, opened: Opened) -> None:
    with pytest.raises(StoreConfigError, match="DB index"):
        await opened(f"redis://127.0.0.1:{redis_server.port}/999").ping()


async def test_secrets_do_not_show_when_storing_them_fails(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    store, secret = opened(own_redis_server(maxmemory="1").url), "hunter" + str(2)
    with pytest.raises(StoreFull) as refused:
        await store.agree_secret("sign", secret)
    assert secret not in "".join(traceback.format_exception(refused.value))


async def test_no_memory_left(own_redis_server: Callable[..., RedisServer], opened: Opened) -> None:
    server = own_redis_server()
    store = opened(server.url)
    claim = await store.claim(KEY, "a", request=PageRequest())
    server.command("CONFIG", "SET", "maxmemory", "1")

    writes = [
        store.claim(SessionKey("/app", "new"), "a", request=PageRequest()),
        store.seize(KEY, "b", owner="a", epoch=claim.epoch),
        store.put_handoff(KEY, "t", PageRequest(), 10),
        store.beat(BEAT, ttl=5, opened=[KEY]),
    ]
    for write in writes:
        with pytest.raises(StoreFull, match="no memory left"):
            await write

    assert await store.read(KEY) is not None
    assert await store.discard(KEY, owner="a", epoch=claim.epoch) is True


async def test_a_read_only_replica(own_redis_server: Callable[..., RedisServer], opened: Opened) -> None:
    server = own_redis_server(replicaof=f"127.0.0.1 {free_port()}")
    store = opened(server.url, patience=0.3)
    with pytest.raises(StoreUnavailable, match="read-only replica"):
        await store.ping()
    with pytest.raises(StoreUnavailable, match="not available"):
        await store.agree_secret("x", "y")


@pytest.mark.parametrize(
    ("info", "error", "message"),
    [
        ({"redis_version": "6.0.16"}, StoreConfigError, r"is version 6\.0\.16; we need 6\.2"),
        ({}, StoreConfigError, r"is version \?"),
        ({"redis_version": "7.0", "redis_mode": "sentinel"}, StoreConfigError, r"redis\+sentinel"),
        ({"redis_version": "7.0", "redis_mode": "cluster"}, StoreConfigError, r"redis\+cluster"),
        ({"redis_version": "7.0", "role": "slave"}, StoreUnavailable, "read-only"),
    ],
)
def test_servers_that_do_not_fit(info: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        raise find_problem(info, "redis://host", clustered=False) or AssertionError("it fits")


def test_servers_that_fit() -> None:
    for version in ("6.2.0", "7.0.15", "8.0-rc1", "10.1"):
        assert find_problem({"redis_version": version, "role": "master"}, "x", clustered=False) is None


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def tls_server(
    own_redis_server: Callable[..., RedisServer], tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[str, Path]:
    """The address of a server with a certificate of its own making, and that certificate."""
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    options = {"tls-port": port, "tls-cert-file": certificate, "tls-key-file": key}
    own_redis_server(**{**options, "tls-ca-cert-file": certificate, "tls-auth-clients": "no"})
    return f"{getattr(request, 'param', '127.0.0.1')}:{port}", certificate


@pytest.mark.parametrize("tls_server", ["127.0.0.1", "localhost"], indirect=True)
async def test_tls(tls_server: tuple[str, Path], opened: Opened) -> None:
    address, certificate = tls_server
    store = opened(f"rediss://{address}?ssl_ca_certs={certificate}")
    await store.ping()
    await use(store)
    column = bytes(range(256)) * 20_000
    epoch = (await store.claim(KEY, "a", request=PageRequest())).epoch
    large = JournalWrite(KEY, epoch, 1, {"x": pack_entry([Payload(column)])})
    assert await store.write_journals("a", [large]) == [Written.OK]
    assert unpack_entry((await store.read_journal(KEY))["x"]) == [column]


async def test_an_unknown_certificate(tls_server: tuple[str, Path], opened: Opened) -> None:
    address, _ = tls_server
    with pytest.raises(StoreConfigError, match="is not trusted"):
        await opened(f"rediss://{address}").ping()
    with pytest.raises(StoreUnavailable):
        await opened(f"redis://{address}", patience=0.3).ping()


# -- scripts -------------------------------------------------------------------------------------


async def test_flushing_the_scripts_is_harmless(store: RedisStore, raw: Any) -> None:
    for _ in range(3):
        await use(store)
        await raw("SCRIPT", "FLUSH")
    assert (await store.beat(BEAT, ttl=5, opened=[KEY])).known is True


async def test_scripts_travel_as_digests(redis_server: RedisServer, opened: Opened) -> None:
    redis_server.command("FLUSHALL")
    store = opened(redis_server.url)
    await use(store)
    redis_server.command("CONFIG", "RESETSTAT")
    await use(store)
    stats = redis_server.command("INFO", "commandstats")
    assert "cmdstat_evalsha" in stats
    assert "cmdstat_eval" not in stats


async def test_a_large_value_travels_once_to_a_store_that_does_not_know_the_script(
    redis_server: RedisServer, opened: Opened
) -> None:
    redis_server.command("FLUSHALL")
    store, column = opened(redis_server.url), bytes(2**20)
    epoch = (await store.claim(KEY, "a", request=PageRequest())).epoch
    redis_server.command("SCRIPT", "FLUSH")
    redis_server.command("CONFIG", "RESETSTAT")

    written = await store.write_journals(
        "a", [JournalWrite(KEY, epoch, 1, {"x": pack_entry(Payload(column))})]
    )

    assert written == [Written.OK]
    assert redis_server.info()["total_net_input_bytes"] < 1.1 * len(column)
