"""A login with a provider on three replicas in a browser: it begins, lasts, expires, and ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.oauth_provider import OAuthProvider

APP = Path(__file__).parents[1] / "apps" / "panel_apps" / "logged_in.py"


@pytest.fixture(scope="module")
def provider() -> Iterator[OAuthProvider]:
    with OAuthProvider() as started:
        yield started


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], provider: OAuthProvider) -> Fleet:
    return start_fleet([APP], args=[*provider.args(), "--oauth-refresh-tokens"])


async def shows(tab: Tab, text: str) -> None:
    await tab.raw.get_by_text(text).first.wait_for()


async def token_in(tab: Tab, text: str) -> int:
    """The number of the access token in the app's line that begins so."""
    line = await tab.raw.get_by_text(text).first.inner_text()
    found = re.search(r" access-(\d+)-", line)
    assert found, line
    return int(found[1])


async def enter(tab: Tab, text: str) -> None:
    box = tab.raw.get_by_role("textbox")
    await box.fill(text)
    await box.press("Enter")


async def asks_for_a_newer_one(tab: Tab, than: int) -> None:
    """The app says what it knows each time that something is entered."""
    for number in range(200):
        await enter(tab, f"{number}")
        await shows(tab, f"now {number} ")
        if await token_in(tab, f"now {number} ") > than:
            return
        await tab.raw.wait_for_timeout(250)
    raise AssertionError(f"it never has a newer token than {than}")


async def test_login_refresh_expiry_and_logout(fleet: Fleet, provider: OAuthProvider, tab: Tab) -> None:
    provider.lifetime = 12
    await tab.open(f"{fleet.app_url()}?a=b")
    assert tab.raw.url == f"{fleet.app_url()}?a=b"
    await shows(tab, "first ada@example.com ada@example.com access-")

    # Tokens are refreshed while the page stays open.
    await asks_for_a_newer_one(tab, await token_in(tab, "first ada@example.com"))
    assert provider.refused == 0
    assert len(provider.authorized) == 1

    provider.revoke()
    while provider.is_good(provider.access_tokens[-1]):
        await tab.raw.wait_for_timeout(250)

    # Who is not trusted any more goes through the login again, and comes back to the page.
    provider.lifetime = 300
    await tab.open(f"{fleet.app_url()}?a=b")
    assert tab.raw.url == f"{fleet.app_url()}?a=b"
    assert len(provider.authorized) == 2
    await shows(tab, "first ada@example.com ada@example.com access-")

    other = Tab(await tab.raw.context.new_page())
    await other.open(fleet.app_url())
    await tab.raw.goto(f"{fleet.url}/logout")
    assert not [each for each in await tab.raw.context.cookies() if each["name"] == "user"]
    provider.user = "grace@example.com"
    await tab.raw.get_by_role("button").click()
    await tab.drawn()
    assert len(provider.authorized) == 3
    await shows(tab, "first grace@example.com grace@example.com access-")

    # The page that was open meanwhile is still the other user's, without a login.
    await shows(other, "You have logged out.")
    await enter(other, "later")
    await shows(other, "now later ada@example.com None None None")
    await other.raw.get_by_role("button", name="Log in").click()
    await shows(other, "first grace@example.com")
    other.check()
    assert not [each for each in tab.requested_elsewhere if "127.0.0.1" not in each]
