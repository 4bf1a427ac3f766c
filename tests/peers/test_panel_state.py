"""``pn.state`` answers as it does under ``panel serve``: the same app is asked the same on both."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from bokeh.events import DocumentReady
from bokeh.models import TextInput
from devfleet.replica import PanelServe, Replica, Server
from harness.client import Client
from panel.models.markup import HTML

APP = """
import logging
import panel as pn

pn.extension(notifications=True)
word = pn.widgets.TextInput(name="word")
out = pn.pane.Str("idle")


def within():
    with pn.state.block_expiration():
        return "within"


def information():
    info = pn.state.session_info
    return sorted(info), {key: sorted(each) for key, each in info["sessions"].items()}


def where():
    state, location = pn.state, pn.state.location
    return (
        state.base_url, state.rel_path, state.app_url, state.served, state.session_args, dict(state.cookies),
        state.user, state.user_info, state.headers["Host"],
        location.hostname, location.port, location.protocol, location.pathname, location.search,
    )


def search():
    pn.state.location.update_query(a=1, b="x")
    return pn.state.location.search, pn.state.location.query_params


def log():
    pn.state.log("message of the app")
    logging.getLogger("sales").info("information of the app")
    logging.getLogger("sales").warning("warning of the app")
    print("print of the app")


async def later():
    out.object = "answer: executed"


ANSWERS = {
    "block": lambda: callable(pn.state.block_expiration().__exit__),
    "unblock": lambda: (pn.state.block_expiration() and None, pn.state.unblock_expiration()),
    "within": within,
    "information": information,
    "where": where,
    "search": search,
    "log": log,
    "busy": lambda: pn.state.busy,
    "cache": lambda: (pn.state.as_cached("key", lambda: 1), pn.state.cache.get("key")),
    "notify": lambda: type(pn.state.notifications.info("hello", 10)).__name__,
    "execute": lambda: pn.state.execute(later),
    "execute now": lambda: pn.state.execute(lambda: setattr(out, "width", 321)) or out.width,
    "expire": lambda: pn.state.curdoc.session_context.session.request_expiration(),
}


def say(event):
    if event.new == "execute":
        ANSWERS["execute"]()
        return
    try:
        out.object = f"answer: {ANSWERS[event.new]()!r}"
    except Exception as error:
        out.object = f"answer: {error!r}"


word.param.watch(say, "value")
pn.Column(word, out).servable()
"""

WORDS = (
    "block", "unblock", "within", "information", "where", "search", "log", "busy", "cache", "notify",
    "execute", "execute now", "expire",
)  # fmt: skip
LOGGED = ("message of the app", "information of the app", "warning of the app", "print of the app")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    app = tmp_path_factory.mktemp("state") / "asked.py"
    app.write_text(APP)
    with ExitStack() as started:
        ours: Server = Replica([app], name="ours")
        theirs: Server = PanelServe([app], name="panel serve")
        yield {each.name: started.enter_context(each) for each in (ours, theirs)}


async def answer(client: Client, word: str) -> str:
    await client.patch(TextInput, value=word)
    said = lambda: [html.unescape(each.text) for each in client.document.select({"type": HTML})]  # noqa: E731
    await client.expect(lambda _: any("answer:" in text for text in said()), what=f"answer in {said()}")
    return next(text for text in said() if "answer:" in text)


async def asked(server: Server, word: str) -> str:
    """The answer, with the server's own port called PORT."""
    async with await Client.open(
        server.app_url(), arguments={"id": "7", "lang": "de"}, cookies={"flavour": "oat"}, timeout=60
    ) as client:
        await client.emit(DocumentReady())
        return (await answer(client, word)).replace(str(server.port), "PORT")


@pytest.mark.parametrize("word", WORDS)
async def test_it_is_what_panel_serve_says(servers: dict[str, Server], word: str) -> None:
    ours, theirs = [await asked(server, word) for server in servers.values()]

    assert ours == theirs
    assert "Error" not in theirs


async def test_what_is_logged_is_what_panel_serve_logs(servers: dict[str, Server]) -> None:
    """Once, or not at all."""
    logged = {}
    for name, server in servers.items():
        before = len(server.lines)
        await asked(server, "log")
        server.wait_line(LOGGED[-1], after=before)
        logged[name] = [sum(text in line for line in server.lines[before:]) for text in LOGGED]

    assert logged["ours"] == logged["panel serve"]
