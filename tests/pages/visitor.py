"""A browser without JavaScript: it opens pages, fills in the forms that it finds there, and follows redirects."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import urljoin, urlsplit

from doorward.options import OptionFields
from doorward.pages import Pages
from doorward.testing.cookie_client import Answer, CookieClient
from tests.http.world import PASSWORD, World, a_world

EMAIL = "ada@example.com"
PAGES = Pages()
"""The same for all tests: to read them takes longer than most tests do."""


@dataclass
class AForm:
    """A form as it stands in a page: where it goes, and what its fields hold already."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class APage:
    """What a person sees."""

    answer: Answer
    address: str
    forms: list[AForm] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def html(self) -> str:
        return self.answer.body.decode()

    def form(self, action: str) -> AForm:
        return next(form for form in self.forms if form.action.partition("?")[0] == action)


class _Reader(HTMLParser):
    def __init__(self, page: APage) -> None:
        super().__init__()
        self._page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self._page.tags.append((tag, said))
        if tag == "form":
            self._page.forms.append(AForm(action=said["action"] or ""))
        elif tag == "input" and said.get("name") and (said.get("type") != "checkbox" or "checked" in said):
            self._page.forms[-1].fields[str(said["name"])] = said.get("value") or ""
        elif tag == "a":
            self._page.links.append(said["href"] or "")

    def handle_data(self, data: str) -> None:
        self._page.text = " ".join(f"{self._page.text} {data}".split())


def read_page(answer: Answer, address: str) -> APage:
    page = APage(answer=answer, address=address)
    _Reader(page).feed(page.html)
    return page


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, world: World, **options: Any) -> None:
        self.client: CookieClient = world.client(**options)
        self.client.user_agent = options.get("user_agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
        self.headers: dict[str, str | None] = {}

    async def open(self, address: str) -> APage:
        """The page at an address, after all redirects on our own origin."""
        for _ in range(4):
            answer = await self.client.get(address, headers=self.headers)
            if answer.status != 303:
                return read_page(answer, address)
            address = self._next(address, answer)
        raise AssertionError(f"redirected in circles: {address}")

    async def send(
        self, page: APage, action: str, *, headers: Mapping[str, str | None] | None = None, **fields: str
    ) -> Answer:
        """The answer to a form of a page, as it is."""
        form = page.form(action)
        address = urljoin(page.address, form.action)
        return await self.client.post(address, form=form.fields | fields, headers=self.headers | dict(headers or {}))

    async def submit(self, page: APage, action: str, **fields: str) -> APage:
        """The page that comes after a form."""
        answer = await self.send(page, action, headers=None, **fields)
        address = urljoin(page.address, page.form(action).action)
        return await self.open(self._next(address, answer)) if answer.status == 303 else read_page(answer, address)

    def _next(self, address: str, answer: Answer) -> str:
        place = urljoin(address, answer.header("location") or "")
        assert not urlsplit(place).netloc, place
        return place

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> APage:
        return await self.submit(await self.open("/sign-in"), "sign-in", email=email, password=password)


def beside(page: APage, field: str) -> str:
    """What describes an input to whoever does not see the page."""
    tag = next(said for tag, said in page.tags if tag == "input" and said.get("name") == field)
    assert tag["aria-invalid"] == "true"
    described_by = (tag["aria-describedby"] or "").split()
    found = re.search(rf'id="{described_by[0]}">(.*?)</div>', page.html, re.DOTALL)
    assert found is not None
    return found[1].replace("&#39;", "'")


@asynccontextmanager
async def a_visited_world(
    *,
    pages: Pages | None = None,
    geo_database: Path | None = None,
    **options: Unpack[OptionFields],
) -> AsyncIterator[World]:
    """A deployment with pages and one account, ada@example.com."""
    async with a_world(pages=pages or PAGES, geo_database=geo_database, **options) as world:
        await world.sign_up()
        yield world


async def sessions_of(world: World, email: str = EMAIL) -> set[str]:
    """The ids of the sessions of an account that stand."""
    account = await world.auth.deployment.store.account_by_email(email)
    assert account is not None
    return {session.id for session in await world.auth.sessions(account.id)}
