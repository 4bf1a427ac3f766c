"""What `process_request` hooks add: in the handlers' order, whichever way they are written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bokeh.application import Application
from bokeh.application.handlers.handler import Handler

from service.apps.app import App
from service.apps.attempts import Attempt
from service.apps.imports import ImportSpace
from service.lines import line


class Plain(Handler):
    def process_request(self, request: Any) -> dict[str, Any]:
        return {"plain": request, "last": "plain"}


class Asynchronous(Handler):
    async def process_request(self, request: Any) -> dict[str, Any]:  # type: ignore[override]
        await asyncio.sleep(0)
        return {"asynchronous": request, "last": "asynchronous"}


class Failing(Handler):
    async def process_request(self, request: Any) -> dict[str, Any]:  # type: ignore[override]
        raise RuntimeError("no")


class Subclass(Application):
    """Needs something to be made, and adds something of its own, as Panel's does."""

    def __init__(self, own: str, *handlers: Handler) -> None:
        super().__init__(*handlers)
        self.own = own

    def process_request(self, request: Any) -> dict[str, Any]:
        return {**super().process_request(request), "own": self.own}


class AsynchronousSubclass(Subclass):
    async def process_request_async(self, request: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"own": f"{self.own} later"}


async def processed(application: Application) -> Any:
    app = App("/", application, ImportSpace(None))
    return await app.process_request("request", Attempt())  # type: ignore[arg-type]


async def test_plain_and_coroutine_hooks_in_order() -> None:
    given = {"plain": "request", "asynchronous": "request"}
    assert await processed(Application(Plain(), Asynchronous())) == {**given, "last": "asynchronous"}
    assert await processed(Application(Asynchronous(), Plain())) == {**given, "last": "plain"}


async def test_without_hooks_nothing_is_added() -> None:
    assert await processed(Application(Handler())) == {}


async def test_what_an_application_adds_itself_comes_last() -> None:
    assert await processed(Subclass("mine", Asynchronous())) == {
        "asynchronous": "request", "last": "asynchronous", "own": "mine",
    }  # fmt: skip


@pytest.mark.skipif(line.VERSION < (3, 10), reason="Bokeh 3.9 has no such method")
async def test_an_application_may_do_so_in_a_coroutine() -> None:
    assert (await processed(AsynchronousSubclass("mine", Plain())))["own"] == "mine later"


async def test_a_failing_hook_fails_the_request() -> None:
    with pytest.raises(RuntimeError, match="no"):
        await processed(Application(Plain(), Failing()))
