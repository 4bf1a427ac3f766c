"""All sessions of an app, on all replicas: listed as plain data, and updated by a function of the app's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from bokeh.document import Document
from bokeh.io import curdoc

from service.apps.contexts import AppServerContext, AppSessionContext, current_app
from service.fleet.app_calls import refuse_on_event_loop
from service.fleet.messages import INTERNAL, published, topics_of_app
from service.fleet.subscribing import SessionSubscriber
from service.fleet.tasks import is_of_session_script
from service.fleet.topics import Topics
from service.fleet.view import look
from store.contract import SessionRecord, Store, TopicName

__all__ = ("FleetSession", "asessions", "aupdate_sessions", "session_update", "sessions", "update_sessions")

Update = Callable[[Document, Any], Any]
"""Takes a session's Document and what :func:`update_sessions` was given. Plain or a coroutine function."""

MAX_UPDATE_NAME = 150
"""Characters."""

UpdateT = TypeVar("UpdateT", bound=Update)


@dataclass(frozen=True, slots=True)
class FleetSession:
    """One session, as the store knows it: a replica holds it, with its app running or asleep."""

    id: str = field(repr=False)
    """``session_context.id``. Who knows it can join the session, so show it to nobody."""
    app: str
    """URL path."""
    user: str | None
    """Who has logged in."""
    replica: str
    """Id of the one that holds it."""
    created: datetime
    """When it began (UTC)."""


def sessions(app: str | None = None) -> list[FleetSession]:
    """The sessions of an app (URL path; this one if not said) on all replicas, oldest first.

    A moment old: a replica says twice a second which sessions it holds. The cost grows with their number.
    Waits for Redis; on an event loop RuntimeError is raised, await :func:`asessions` there. Raises
    FleetUnavailable, ValueError for what is no path, RuntimeError outside of an app that ``svc serve`` runs.
    """
    topics, path = topics_of_app("sessions")
    refuse_on_event_loop("asessions")
    return topics.thread.wait(partial(_sessions, app=_path(app, path)))


async def asessions(app: str | None = None) -> list[FleetSession]:
    """As :func:`sessions`, for coroutines."""
    topics, path = topics_of_app("asessions")
    return await topics.thread.awaited(partial(_sessions, app=_path(app, path)))


def _path(app: str | None, own: str) -> str:
    if app is not None and not app.startswith("/"):
        raise ValueError(f"an app is named by its URL path, such as {own!r}, not {app!r}")
    return own if app is None else app


async def _sessions(store: Store, *, app: str) -> list[FleetSession]:
    view = await look(store, sessions=True)
    found = [_plain(each) for each in view.held or () if each.key.app == app]
    return sorted(found, key=lambda each: (each.created, each.id))


def _plain(record: SessionRecord) -> FleetSession:
    created = datetime.fromtimestamp(record.created, UTC)
    return FleetSession(record.key.session_id, record.key.app, record.request.user, record.owner, created)


def session_update(func: UpdateT) -> UpdateT:
    """Let :func:`update_sessions` call ``func(document, value)``, by its name, in each session of the app.

    To be called on each replica: in ``on_server_loaded``, or in a module that the app's code imports, where
    it may be a decorator. Under a name the last one counts. Raises RuntimeError outside of an app that
    ``svc serve`` runs, and for a function of a session's script, which ends with its session.
    """
    topics, path = topics_of_app("session_update")
    app, name = current_app.get(), str(getattr(func, "__name__", ""))
    if curdoc().session_context and is_of_session_script(func):
        raise RuntimeError(
            "a function of a session's script ends with that session: put it into a module or the hooks, or "
            "use fleet.subscribe()"
        )
    if not 0 < len(name) <= MAX_UPDATE_NAME:
        raise ValueError(f"a function that updates sessions has a name of 1 to {MAX_UPDATE_NAME} characters")
    assert app is not None
    if name not in app.session_updates:
        topic = _topic_of(path, name)
        app.beginnings.append(partial(_subscribe, topics=topics, topic=topic, app=app, name=name))
    app.session_updates[name] = func
    return func


def update_sessions(name: str, value: Any = None) -> None:
    """Call the app's function of that name (see :func:`session_update`) in each session, on all replicas.

    As ``update_sessions`` of bokeh 3.10, which reaches the sessions of its own process: ``func(document,
    value)`` runs under each session's lock. A function cannot be sent to other replicas, so its name is.
    This returns when Redis has it, and does not wait for the sessions. One that moves or sleeps meanwhile is
    updated afterwards, once; one that begins later is not. ``value`` and what is raised are as with
    :func:`~service.fleet.publish`; ValueError when the app has no such function.
    """
    topics, topic = _update(name)
    refuse_on_event_loop("aupdate_sessions")
    if (work := published(topics, topic, value)) is not None:
        topics.thread.wait(work)


async def aupdate_sessions(name: str, value: Any = None) -> None:
    """As :func:`update_sessions`, for coroutines."""
    topics, topic = _update(name)
    if (work := published(topics, topic, value)) is not None:
        await topics.thread.awaited(work)


def _update(name: str) -> tuple[Topics, TopicName]:
    topics, path = topics_of_app("update_sessions")
    app = current_app.get()
    known = {} if app is None else app.session_updates
    if name not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise ValueError(
            f"the app has no function {name!r} that updates sessions (there are: {there_are}): call "
            "fleet.session_update() with it, in on_server_loaded or in a module of the app"
        )
    return topics, _topic_of(path, name)


def _topic_of(path: str, name: str) -> TopicName:
    return TopicName(path, f"{INTERNAL}update {name}")


def _subscribe(
    context: AppSessionContext, *, topics: Topics, topic: TopicName, app: AppServerContext, name: str
) -> None:
    """A session of the app has begun."""

    def update(value: Any) -> Any:
        return app.session_updates[name](context.document, value)

    subscriber = SessionSubscriber(context, topics, topic, 0, joins_at_begin=True)
    subscriber.add(update)
    context.keep(subscriber)
