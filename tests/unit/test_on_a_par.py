"""What programs and apps find at Bokeh's own server they find here, or a reason is given why not.

Bokeh is asked what it has, so that its next release tells what is new: where a test fails for a name that is
in no table, provide it, or write down why not. Names in a table that are provided by now fail, too.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import bokeh.server
import pytest
from bokeh.command.subcommand import Argument
from bokeh.command.subcommands import serve as bokeh_serve
from bokeh.server.contexts import BokehServerContext, BokehSessionContext, _RequestProxy
from bokeh.server.server import Server as BokehServer
from bokeh.server.server import _ServerOpts
from bokeh.server.session import ServerSession
from bokeh.server.tornado import BokehTornado
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from service import Server
from service.apps.contexts import AppServerContext, AppSessionContext, RequestView
from service.embedding import settings_of
from service.errors import ConfigError
from service.lines import line
from service.sessions.session import Session
from service.settings import OPTIONS
from store.contract import PageRequest

Reasons = Mapping[str, str]


def public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def check(bokehs: Collection[str], ours: Collection[str], reasons: Reasons) -> None:
    """All that Bokeh has is here or has a reason, and no reason is out of date."""
    missing = set(bokehs) - set(ours)
    assert missing - reasons.keys() == set(), "Bokeh has what we lack"
    assert reasons.keys() & set(ours) == set(), "a reason for a difference that there is no more"


# -- Server --------------------------------------------------------------------------------------


def test_the_servers_methods_and_properties() -> None:
    check(public(BokehServer), public(Server), {})


@pytest.mark.parametrize("name", sorted(public(BokehServer)))
def test_the_methods_take_the_same_arguments_by_the_same_names(name: str) -> None:
    bokehs, ours = getattr(BokehServer, name), getattr(Server, name)
    assert isinstance(bokehs, property) == isinstance(ours, property)
    if isinstance(bokehs, property):
        return
    parameters = inspect.signature(ours).parameters
    keywords = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    wanted = [each.name for each in inspect.signature(bokehs).parameters.values()]
    assert keywords or [each for each in wanted if each not in parameters] == []
    positional = [each.name for each in inspect.signature(bokehs).parameters.values() if each.kind < 2]
    assert list(parameters)[: len(positional)] == positional
    assert inspect.iscoroutinefunction(bokehs) == inspect.iscoroutinefunction(ours)


SAMPLES: Mapping[str, Any] = {
    "absolute_url": "http://host/", "address": "127.0.0.1", "allow_websocket_origin": ["host"],
    "cookie_secret": "secret", "exclude_cookies": ["a"], "exclude_headers": ["a"],
    "extra_websocket_origins": ["host"], "generate_session_ids": True, "ico_path": "none",
    "include_cookies": ["a"], "include_headers": ["a"], "index": "index.html", "num_procs": 1, "port": 0,
    "prefix": "p", "redirect_root": True, "secret_key": b"secret", "session_token_expiration": 3,
    "sign_sessions": False, "ssl_certfile": __file__, "ssl_keyfile": None, "ssl_password": None,
    "unix_socket": "socket", "use_index": True, "use_xheaders": True, "websocket_compression_level": 3,
    "websocket_compression_mem_level": None, "websocket_max_message_size": 3,
    "websocket_max_message_size_bytes": 3, "xsrf_cookies": True,
}  # fmt: skip
OPTIONS_NOT_TAKEN: Reasons = {
    "kwargs": "of the constructor of Tornado's Application: what we do not know is refused by its name",
    "logout_url": "3.10, of the core below ASGI: auth_provider and auth_policy say it here",
}


def options_of_bokehs() -> set[str]:
    found = set(_ServerOpts.properties() if hasattr(_ServerOpts, "properties") else ())
    makers: list[Any] = [BokehServer, BokehTornado]
    if line.VERSION >= (3, 10):
        makers.append(importlib.import_module("bokeh.server.core").BokehServerCore)
    for maker in makers:
        found |= inspect.signature(maker).parameters.keys()
    return found


def is_taken(name: str) -> bool:
    if name in inspect.signature(Server).parameters.keys() - {"options"}:
        return True
    try:
        settings_of({name: SAMPLES.get(name, 3000 if name.endswith("_milliseconds") else "sample")})
    except ConfigError:
        return False
    return True


def test_the_constructor_takes_all_options() -> None:
    bokehs = options_of_bokehs()
    assert len(bokehs) > 30
    check(bokehs, {name for name in bokehs if is_taken(name)}, OPTIONS_NOT_TAKEN)


@pytest.mark.skipif(line.VERSION < (3, 10), reason="Bokeh 3.9 has none")
def test_the_parts_of_a_policy_are_those_we_ask() -> None:
    policy = importlib.import_module("bokeh.server.auth").AuthPolicy
    assert public(policy) == {"authenticate", "get_login_url", "get_login_url_async", "logout_url"}


def test_a_policy_is_asked_about_the_request_that_bokeh_describes() -> None:
    request = line.server_request(
        method="GET", uri="/", path="/", arguments={}, headers={"A": "b"}, cookies={"c": "d"}, remote_ip=None,
        protocol="http", host="", query="",
    )  # fmt: skip
    known = {
        "method", "uri", "path", "arguments", "headers", "cookies", "remote_ip", "protocol", "host", "query",
        "root_path", "user", "state",
    }  # fmt: skip
    assert {name for name in known if not hasattr(request, name)} == set()
    assert (request.headers["a"], request.cookies["c"].value) == ("b", "d")
    if dataclasses.is_dataclass(request):
        assert {each.name for each in dataclasses.fields(request)} == known


# -- what apps see -------------------------------------------------------------------------------

PLUMBING = "between Bokeh's session and its own connections; ours are made otherwise"
OF_SESSION: Reasons = {
    **dict.fromkeys(
        ("notify_connection_lost", "patch", "pull", "push", "subscribe", "unsubscribe"), PLUMBING
    ),
    "token": "there is one for each page view; what it says is session_context.token_payload",
}
ENDED = "of the connection that asked for the page, which has ended and may have been another replica's"
OF_REQUEST: Reasons = {
    **dict.fromkeys(
        ("connection", "server_connection", "get_ssl_certificate", "request_time", "version"), ENDED
    )
}


def test_the_session_context() -> None:
    check(public(BokehSessionContext), public(AppSessionContext), {})


def test_the_server_context() -> None:
    context = AppServerContext(tuple, "/", Any)  # type: ignore[arg-type]
    check(public(BokehServerContext), public(context), {})


def test_the_session() -> None:
    assigned = re.findall(r"self\.([a-z]\w*)(?:: [^=]+)? =", inspect.getsource(Session.__init__))
    check(public(ServerSession), public(Session) | set(assigned), OF_SESSION)


OF_THE_SERVER = {"destroy"}
"""What apps do not call: they ask for the end with `request_expiration`."""


@pytest.mark.parametrize("name", sorted(public(ServerSession) & public(Session) - OF_THE_SERVER))
def test_what_apps_call_of_the_session_takes_the_same_arguments(name: str) -> None:
    bokehs, ours = getattr(ServerSession, name), getattr(Session, name)
    assert isinstance(bokehs, property) == isinstance(ours, property)
    if not isinstance(bokehs, property):
        assert described(ours) == described(bokehs)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(bokehs)


def described(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


def test_the_request() -> None:
    headers = HTTPHeaders({"Host": "host"})
    bokehs = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=headers)
    # Where Panel was imported it has put a class of its own in this one's place.
    proxy = next(cls for cls in _RequestProxy.__mro__ if cls.__module__.startswith("bokeh."))
    check(public(bokehs) | public(proxy), public(RequestView(PageRequest())), OF_REQUEST)


# -- the command line and the settings -------------------------------------------------------------

ARITIES = {"store_true": "switch", "append": "repeat", "*": "any", "+": "some", "...": "rest"}


def arguments() -> dict[str, Argument]:
    return {str(name): argument for name, argument in bokeh_serve.Serve.args}


def by_flag(name: str) -> Any:
    return next(each for each in OPTIONS.values() if each.flag in (name, name.lstrip("-")))


@pytest.mark.parametrize("name", [name for name in arguments() if name.startswith("--")])
def test_a_flag_takes_what_bokehs_takes(name: str) -> None:
    bokehs, ours = arguments()[name], by_flag(name)
    given = [getattr(bokehs, part) for part in ("action", "nargs")]
    arity = next((ARITIES[str(each)] for each in given if str(each) in ARITIES), "one")
    assert ours.arity == arity
    for choice in bokehs.choices if isinstance(bokehs.choices, tuple) else ():
        if choice is not None:
            ours.value(choice, name)


BOKEHS_SETTINGS = {
    "allowed_ws_origin": "allow_websocket_origin", "auth_module": "auth_module",
    "cookie_secret": "cookie_secret", "ico_path": "ico_path", "py_log_level": "log_level",
    "secret_key_bytes": "secret_key", "sign_sessions": "session_ids", "ssl_certfile": "ssl_certfile",
    "ssl_keyfile": "ssl_keyfile", "ssl_password": "ssl_password", "xsrf_cookies": "enable_xsrf_cookies",
    "load_config": "use_config",
}  # fmt: skip
OTHER_SETTINGS: Reasons = {
    "bokehjs_path": "Bokeh's own function is asked",
    "dev": "for those who develop BokehJS: Bokeh's own bundles honour it",
    "resources": "Bokeh's own function is asked",
}


def test_the_settings_that_bokehs_server_reads() -> None:
    folder = Path(str(bokeh.server.__file__)).parent
    sources = [*folder.rglob("*.py"), Path(bokeh_serve.__file__), folder.parent / "command" / "util.py"]
    read = {name for path in sources for name in re.findall(r"\bsettings\.(\w+)", path.read_text())}
    assert BOKEHS_SETTINGS.keys() <= read
    assert set(BOKEHS_SETTINGS.values()) <= OPTIONS.keys()
    check(read, BOKEHS_SETTINGS.keys(), OTHER_SETTINGS)
