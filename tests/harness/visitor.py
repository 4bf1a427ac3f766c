"""A browser without scripts, for logins: keeps cookies, and follows redirects one by one."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from panel.models.markup import HTML

from harness.client import Client
from harness.pages import Page, get_page, post


@dataclass
class Visitor:
    """`pages` are all that it was given."""

    cookies: dict[str, str] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)

    async def get(self, url: str) -> Page:
        page = await get_page(url, cookies=self.cookies, follow=False)
        self.cookies = {name: value for name, value in page.cookies.items() if value}
        self.pages.append(page)
        return page

    async def post(self, url: str, **fields: str) -> Any:
        answer = await post(url, fields, self.cookies)
        for line in answer.headers.get_list("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        self.cookies = {name: value for name, value in self.cookies.items() if value}
        return answer

    async def follow(self, page: Page) -> Page:
        """One redirect further."""
        assert page.status == 302, page.text
        return await self.get(urljoin(page.url, page.headers["Location"]))

    async def to_the_provider(self, url: str) -> Page:
        """What the login page answers: the way there."""
        return await self.follow(await self.get(url))

    async def comes_back(self, url: str) -> Page:
        """What our server answers when the provider sends the visitor back."""
        return await self.follow(await self.follow(await self.to_the_provider(url)))

    async def logs_in(self, url: str) -> Page:
        """The page, at the end of the whole way."""
        page = await self.to_the_provider(url)
        for _ in range(4):
            page = await self.follow(page)
            if page.status != 302:
                break
        assert page.status == 200, page.text
        return page


def said(client: Client) -> str:
    shown: Any = client.document.select({"type": HTML})
    return " ".join(html.unescape(model.text) for model in shown)
