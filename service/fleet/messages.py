"""``fleet.publish`` and ``fleet.subscribe``: messages to all sessions of an app, on whichever replica."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import blake2b
from typing import Any

from bokeh.document import Document

from service.apps.contexts import current_app
from service.errors import FleetFull
from service.fleet.app_calls import context_of, is_repeated, refuse_on_event_loop
from service.fleet.subscribing import (
    Callback,
    OnMissed,
    SessionSubscriber,
    current_handling,
    subscriber_of,
)
from service.fleet.topics import MAX_KEPT, Topics
from service.limits import MAX_NAME_LENGTH
from store.contract import Store, TopicName
from store.records import pack_value

__all__ = ("apublish", "publish", "published", "subscribe", "topics_of_app", "unsubscribe")

MAX_BYTES = 2**20
"""Of one message, as it is packed."""

INTERNAL = "\0"
"""Begins topics that are none of the app's business."""

KNOWN_SECONDS = 60.0
"""For which a message whose reply was lost is not published again."""

KNOWN_OF_CALLBACKS_SECONDS = 3600.0
"""The same for what callbacks on messages publish: they run again where the session comes back."""


def publish(topic: str, value: Any) -> None:
    """Send ``value`` to all sessions of this app that subscribe to ``topic``, on all replicas.

    ``value`` is None, a bool, int (64 bit), float, str, bytes, or a list or dict of those; 1 MiB at most.
    Messages of one topic have one order, which all sessions see. When this returns, the message is in the
    store: who is alive has it a moment later, and who moves or sleeps gets it afterwards.

    Waits for Redis. On an event loop (coroutines, ``--app-threads 0``, ``run_on_loop``) nothing may wait:
    there RuntimeError is raised; await :func:`apublish`. Raises TypeError for what cannot be sent, FleetFull
    for what is too large, :class:`~service.errors.FleetUnavailable` when Redis does not answer: it may have
    been published or not. Raises RuntimeError outside of an app that ``svc serve`` runs.

    Where a session moves, callbacks run once more for what its user has entered before: what they publish
    then was published already, and is not published again. The code that builds a session runs again, too,
    and what that publishes is published each time.
    """
    topics, name = _topic(topic, "publish")
    refuse_on_event_loop("apublish")
    work = published(topics, name, value)
    if work is not None:
        topics.thread.wait(work)


async def apublish(topic: str, value: Any) -> None:
    """As :func:`publish`, for coroutines."""
    topics, name = _topic(topic, "apublish")
    work = published(topics, name, value)
    if work is not None:
        await topics.thread.awaited(work)


def subscribe(
    topic: str,
    callback: Callback,
    *,
    last: int = 0,
    on_missed: OnMissed | None = None,
    document: Document | None = None,
) -> None:
    """Call ``callback(value)`` under this session's lock for each message on ``topic``, whoever publishes it.

    To be called each time the app's code builds a session, or by a callback. When the session moves to
    another replica, or wakes up, its code does so again, and then ``callback`` is called for what the session
    has missed: for each message once, in their order, as far as its effects are in the Document or in
    :func:`service.session_state`. ``callback`` may be a coroutine function.

    ``last``: a session that begins here first gets that many of the last messages, if there are so many; so
    does one that could not be restored as it was, because the app has changed.

    Redis keeps the last 1,000 messages of a topic, or 4 MiB of them, for a day after the last one. A session
    that has missed more gets what is kept, and before it ``on_missed(count)`` is called in the same way;
    ``count`` is None where nobody knows whether messages were lost, as after Redis lost its data.

    ``document`` is the session's; code on a thread that the app has begun must give it. Raises RuntimeError
    without one, FleetFull when a replica has too many topics, FleetUnavailable when Redis does not answer.
    """
    topics, name = _topic(topic, "subscribe")
    if not 0 <= last <= MAX_KEPT:
        raise ValueError(f"last must be between 0 and {MAX_KEPT}, which is what is kept, not {last}")
    context = context_of(document, "subscribe()")
    subscriber = subscriber_of(context, topics, name)
    if subscriber is not None:
        subscriber.add(callback, on_missed)
        return
    subscriber = SessionSubscriber(context, topics, name, last)
    subscriber.add(callback, on_missed)
    try:
        topics.thread.wait(partial(subscriber.join, since=subscriber.kept))
    except BaseException:  # it may have been done, but too late
        subscriber.end()
        raise
    subscriber.keep()
    context.keep(subscriber)


def unsubscribe(topic: str, callback: Callback, *, document: Document | None = None) -> None:
    """Call ``callback`` for messages on ``topic`` no more. Raises ValueError when it was not subscribed."""
    topics, name = _topic(topic, "unsubscribe")
    subscriber = subscriber_of(context_of(document, "unsubscribe()"), topics, name)
    if subscriber is None:
        raise ValueError(f"this session has subscribed nothing to {topic!r}")
    if subscriber.remove(callback):
        subscriber.withdraw()


def topics_of_app(what: str) -> tuple[Topics, str]:
    """What the app of this code publishes with, and its path. Raises RuntimeError outside of one."""
    app = current_app.get()
    topics = None if app is None else app.topics
    if app is None or not isinstance(topics, Topics):
        raise RuntimeError(
            f"fleet.{what}() belongs to an app that svc serve runs: call it in the app's code, not elsewhere"
        )
    return topics, app.application_context.url


def published(
    topics: Topics, name: TopicName, value: Any
) -> Callable[[Store], Coroutine[Any, Any, None]] | None:
    """What publishes it on the store's thread; None where it was published already."""
    packed = _packed(value)
    if is_repeated():
        return None
    handling = current_handling.get()
    if handling is None or handling.over:
        call, known = secrets.token_hex(8), KNOWN_SECONDS
    else:
        call, known = _digest(f"{name.tag} {handling.next_call()}"), KNOWN_OF_CALLBACKS_SECONDS
    return lambda store: topics.publish(store, name, packed, call, known)


def _topic(topic: str, what: str) -> tuple[Topics, TopicName]:
    if not isinstance(topic, str):
        raise TypeError(f"a topic is text, not {type(topic).__name__}")
    if not 0 < len(topic) <= MAX_NAME_LENGTH or topic.startswith(INTERNAL):
        raise ValueError(
            f"a topic has 1 to {MAX_NAME_LENGTH} characters, and does not begin with a zero byte"
        )
    topics, path = topics_of_app(what)
    return topics, TopicName(path, topic)


def _packed(value: Any) -> bytes:
    try:
        packed = pack_value(value)
    except TypeError as error:
        raise TypeError(f"this value cannot be published: {error}") from None
    if len(packed) > MAX_BYTES:
        raise FleetFull(
            f"a message has {MAX_BYTES} bytes at most, not {len(packed)}: publish where the rest is, such as "
            "a key of fleet.shared()"
        )
    return packed


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
