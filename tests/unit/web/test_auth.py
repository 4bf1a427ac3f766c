"""Auth modules: what is read from them, what is refused, and how users become names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigError
from service.tokens import TokenAuthority, TokenInvalid
from service.web.auth import Auth, load_auth, user_name

GET_USER = "def get_user(handler): return None\n"
HANDLER = "from tornado.web import RequestHandler\nclass {name}(RequestHandler): pass\n"


def write(folder: Path, text: str) -> str:
    path = folder / "auth.py"
    path.write_text(text)
    return str(path)


def test_no_module_asks_nobody() -> None:
    auth = load_auth(None)

    assert auth == Auth()
    assert not auth.asks
    assert auth.endpoints() == []


def test_a_module_is_read_by_its_names(tmp_path: Path) -> None:
    text = GET_USER + "login_url = '/in'\nlogout_url = 'out'\n" + HANDLER.format(name="LoginHandler")

    auth = load_auth(write(tmp_path, text + HANDLER.format(name="LogoutHandler")))

    assert auth.asks
    assert [path for path, _ in auth.endpoints()] == ["/in", "/out"]
    assert auth.logout_path("/prefix") == "/prefix/out"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GET_USER, "login_url"),
        (GET_USER + "async def get_user_async(h): ...\nlogin_url = '/'", "not both"),
        (GET_USER + "login_url = '/'\ndef get_login_url(h): ...", "not both"),
        (GET_USER + "login_url = 'https://elsewhere/'", "relative"),
        ("logout_url = '//elsewhere/'", "relative"),
        (GET_USER + "login_url = '/'\nclass LoginHandler: pass", "RequestHandler"),
        (GET_USER + "def get_login_url(h): ...\n" + HANDLER.format(name="LoginHandler"), "login_url"),
        (HANDLER.format(name="LogoutHandler"), "logout_url"),
        ("def get_user(:", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
    ],
)
def test_a_module_that_makes_no_sense_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_auth(write(tmp_path, text))

    assert reason in str(refused.value)
    assert "auth.py" in str(refused.value)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (None, None), ("", None), (b"", None), (False, None),
        ("ada", "ada"), (b"ada", "ada"), (b"\xff", "\\xff"),
        ({"id": 1, "a": 2}, '{"a": 2, "id": 1}'), (True, "true"),
    ],
)  # fmt: skip
def test_every_kind_of_user_has_one_name(user: Any, name: str | None) -> None:
    assert user_name(user) == name


def test_a_token_is_its_users_alone_also_after_the_secret_changed() -> None:
    old, new = TokenAuthority("old"), TokenAuthority("new", "old")
    token = new.verify(old.mint("/app", "id", lifetime=60, now=0, user="ada"), "/app")
    anyones = new.verify(old.mint("/app", "id", lifetime=60, now=0), "/app")

    new.check_user(token, "ada")
    new.check_user(anyones, None)
    for other, user in ((token, "eve"), (token, None), (anyones, "eve")):
        with pytest.raises(TokenInvalid):
            new.check_user(other, user)


@pytest.mark.parametrize(
    ("text", "names", "reason"),
    [
        ("", (), "say with --admin-user who may"),
        ("", ("ada",), "needs --auth-module"),
        (GET_USER + "login_url = '/'", (), "say with --admin-user who may"),
    ],
)
def test_it_has_to_be_clear_who_sees_the_admin_page(
    text: str, names: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    auth = load_auth(write(tmp_path, text))

    with pytest.raises(ConfigError, match=reason):
        auth.check_admin(names, password=False)


@pytest.mark.parametrize(
    ("text", "names", "password", "logins"),
    [
        ("", ("*",), False, False),
        (GET_USER + "login_url = '/'", ("ada",), False, False),
        ("", (), True, False),
        ("", ("ada",), False, True),
    ],
)
def test_names_and_a_module_a_password_or_everybody_are_clear(
    text: str, names: tuple[str, ...], password: bool, logins: bool, tmp_path: Path
) -> None:
    load_auth(write(tmp_path, text)).check_admin(names, password=password, logins=logins)
