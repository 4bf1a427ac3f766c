"""Races on the way from a token to a session: the embedded store, and an owner that exists only there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from bokeh.document import Document
from harness.runs import app_of
from tornado.httpclient import HTTPClientError

from service.documents.restore import Fidelity
from service.errors import SessionUnknown
from service.fleet.relay import STATUS_NOT_OWNER
from service.fleet.routing import Router
from service.metrics import Metrics
from service.sessions.building import Builder
from service.sessions.registry import Registry
from service.sessions.session import Session
from service.sessions.slot import Slot
from store.connect import open_store
from store.contract import Heartbeat, JournalWrite, PageRequest, SessionKey
from store.encryption import Encryption
from store.redis_store import RedisStore

KEY = SessionKey("/app", "s")


class Owner:
    """Says that it does not hold the session, after `first` happened."""

    def __init__(self, first: Callable[[], Awaitable[object]]) -> None:
        self._first = first

    async def relay(self, *args: Any) -> Any:
        await self._first()
        raise HTTPClientError(STATUS_NOT_OWNER)


async def nobody_told(slot: Slot[Session]) -> None:
    """The store need not know what becomes of the session."""


async def ours(slot: Slot[Session]) -> bool:
    return True


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = open_store(None)
    await opened.beat(Heartbeat("owner", "http://127.0.0.1:1", "1", 0.0), ttl=60)
    yield opened
    await opened.close()


def router(store: RedisStore, owner: Any) -> Router:
    def nothing(doc: Document) -> None:
        doc.title = "made by its code"

    metrics = Metrics()
    registry = Registry({"/app": app_of(nothing)}, Builder(durable=True, replay_inputs=True, metrics=metrics))
    return Router(store, registry, "me", owner, metrics, failed=nobody_told, is_ours=ours)


async def session_of(found: Awaitable[Any]) -> Session:
    """The live one of what a router found."""
    slot = await found
    assert isinstance(slot, Slot)
    return slot.session


async def ended_by(store: RedisStore, epoch: int) -> None:
    assert await store.discard(KEY, owner="owner", epoch=epoch)


async def test_what_its_owner_ends_meanwhile_begins_anew_from_the_handoff(store: RedisStore) -> None:
    await store.put_handoff(KEY, "token", PageRequest(), 60)
    epoch = (await store.claim(KEY, "owner", request=PageRequest())).epoch

    session = await session_of(router(store, Owner(lambda: ended_by(store, epoch))).session(KEY, "token"))

    assert session.document.title == "made by its code"


async def test_without_a_handoff_it_is_gone(store: RedisStore) -> None:
    epoch = (await store.claim(KEY, "owner", request=PageRequest())).epoch

    with pytest.raises(SessionUnknown):
        await router(store, Owner(lambda: ended_by(store, epoch))).session(KEY, "token")


async def test_who_has_a_handoff_does_not_share_the_answer_of_who_has_none(store: RedisStore) -> None:
    await store.put_handoff(KEY, "token", PageRequest(), 60)
    here = router(store, None)

    without, by_token = await asyncio.gather(
        here.session(KEY, "another token"), here.session(KEY, "token"), return_exceptions=True
    )

    assert isinstance(without, SessionUnknown)
    assert isinstance(by_token, Slot)


async def test_a_session_that_another_secret_encrypted_begins_afresh(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = RedisStore(store._link, store._keys, Encryption(["theirs"], writes=True))
    epoch = (await theirs.claim(KEY, "owner", request=PageRequest())).epoch
    await theirs.write_journals("owner", [JournalWrite(KEY, epoch, 1, {"meta": b"x"})])
    await theirs.release(KEY, "owner", epoch=epoch, retention=60)

    session = await session_of(router(store, None).session(KEY, "", PageRequest(uri="/app")))

    assert (session.fidelity, session.request.uri) == (Fidelity.FRESH, "/app")
    assert session.pages.take_losses() == ["what was entered, which cannot be read"]
    assert "the session's record cannot be read: it is encrypted" in caplog.text
    assert not await store.read_journal(KEY)


async def test_a_token_whose_handoff_cannot_be_read_begins_nothing(store: RedisStore) -> None:
    theirs = RedisStore(store._link, store._keys, Encryption(["theirs"], writes=True))
    await theirs.put_handoff(KEY, "token", PageRequest(), 60)

    with pytest.raises(SessionUnknown):
        await router(store, None).session(KEY, "token")

    assert await store.read(KEY) is None


async def test_a_journal_that_was_tampered_with_costs_what_is_in_it(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    epoch = (await store.claim(KEY, "owner", request=PageRequest(uri="/first"))).epoch
    theirs = RedisStore(store._link, store._keys, Encryption(["theirs"], writes=True))
    await theirs.write_journals("owner", [JournalWrite(KEY, epoch, 1, {"meta": b"x"})])
    await store.release(KEY, "owner", epoch=epoch, retention=60)

    session = await session_of(router(store, None).session(KEY, ""))

    assert (session.fidelity, session.request.uri) == (Fidelity.FRESH, "/first")
    assert session.journal is not None
    assert session.journal.take().whole
    assert "the session's journal cannot be read: it is encrypted" in caplog.text
