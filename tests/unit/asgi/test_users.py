"""Users as Starlette, Django and programs of one's own have them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.authentication import SimpleUser, UnauthenticatedUser

from service.asgi.users import HostAuth, name_of


class WithIdentity(SimpleUser):
    @property
    def identity(self) -> str:
        return f"id of {self.username}"


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (None, None),
        ("anna", "anna"),
        ({"name": "anna"}, {"name": "anna"}),
        (UnauthenticatedUser(), None),
        (SimpleUser("anna"), "anna"),
        (WithIdentity("anna"), "id of anna"),
        (SimpleNamespace(is_authenticated=False), None),
        (SimpleNamespace(is_authenticated=True, get_username=lambda: "anna"), "anna"),  # Django's
    ],
)
def test_names(user: Any, name: Any) -> None:
    assert name_of(user) == name


def handler(**scope: Any) -> Any:
    return SimpleNamespace(request=SimpleNamespace(scope=scope))


async def test_whoever_the_host_has_found_and_strangers() -> None:
    auth = HostAuth()
    assert await auth.user(handler(user=SimpleUser("anna"))) == "anna"
    assert await auth.user(handler()) is None
    assert not auth.requires_login


async def test_a_function_of_the_host() -> None:
    async def found(scope: Any) -> Any:
        return scope["state"]["who"]

    for user_of in (found, lambda scope: scope["state"]["who"]):
        auth = HostAuth(user_of=user_of, login_at="/login")
        assert await auth.user(handler(state={"who": "anna"})) == "anna"
        assert auth.requires_login
        asked = SimpleNamespace(request=SimpleNamespace(uri="/apps/a?b=c"))
        assert await auth.login_location(asked, "./") == "/login?next=%2Fapps%2Fa%3Fb%3Dc"
