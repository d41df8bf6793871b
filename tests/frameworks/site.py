"""An application as its users have it: an address, people with clients, and the hands of an administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from doorward.options import Strategy
from doorward.testing import Answer, CookieClient
from tests.frameworks.clock import SharedClock
from tests.frameworks.options import ADMIN_KEY

PASSWORD = "a walrus in seven teapots"
_numbers = count(1)


@dataclass(frozen=True)
class Site:
    """One application, by one strategy, wherever it is served.

    Args:
        address: of the server.
        strategy: how sessions travel there.
        clock: what it goes by.
    """

    address: str
    strategy: Strategy
    clock: SharedClock

    def client(self, **options: Any) -> CookieClient:
        return CookieClient(self.address, clock=self.clock, **options)

    async def stranger(self) -> Person:
        """Somebody who has an account, and has not signed in."""
        email = f"person{next(_numbers)}@example.com"
        person = Person(self, email, self.client())
        answer = await person.client.post("/auth/v1/accounts", json={"email": email, "password": PASSWORD})
        assert answer.status == 201, answer.body
        person.account = answer.json()["account"]["id"]
        return person

    async def person(self) -> Person:
        """Somebody who has signed in."""
        person = await self.stranger()
        await person.sign_in()
        return person

    async def change(self, person: Person, **fields: Any) -> None:
        """What an administrator does to an account."""
        path = f"/auth/v1/admin/accounts/{person.account}"
        answer = await self.client(page=None).patch(path, json=fields, bearer=ADMIN_KEY)
        assert answer.status == 200, answer.body


@dataclass
class Person:
    """Somebody with a client: the tokens in one hand, a cookie jar in the other."""

    site: Site
    email: str
    client: CookieClient
    account: str = ""
    access_token: str | None = None
    refresh_token: str | None = None
    signed_in: dict[str, Any] = field(default_factory=dict)

    async def sign_in(self, **fields: Any) -> Answer:
        sent = {"email": self.email, "password": PASSWORD, **fields}
        answer = await self.client.post("/auth/v1/sessions", json=sent)
        assert answer.status == 201, answer.body
        self.signed_in = answer.json()
        self._take(answer)
        return answer

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        return await self.client.request(method, path, **{"bearer": self.access_token, **options})

    async def status(self, path: str = "/me", method: str = "GET") -> int:
        return (await self.ask(method, path)).status

    async def session_id(self) -> str:
        session: str = (await self.ask("GET", "/me")).json()["session"]
        return session

    async def refresh(self, token: str | None = None, *, lost: bool = False) -> Answer:
        """Renew the tokens; an answer that is lost changes nothing here."""
        form = {"grant_type": "refresh_token", "refresh_token": token or self.refresh_token or ""}
        answer = await self.client.post("/auth/v1/token", form=form, keep_cookies=not lost)
        if not lost:
            self._take(answer)
        return answer

    def _take(self, answer: Answer) -> None:
        if answer.status < 300:
            self.access_token = answer.json().get("access_token")
            self.refresh_token = answer.json().get("refresh_token")

    def elsewhere(self) -> Person:
        """The same account on another device, not signed in there."""
        return Person(self.site, self.email, self.site.client(), self.account)

    def thief(self) -> Person:
        """Whoever has stolen what this person holds now."""
        stolen = Person(self.site, self.email, self.client.copy(user_agent="curl/8"), self.account)
        stolen.access_token, stolen.refresh_token = self.access_token, self.refresh_token
        return stolen

    @asynccontextmanager
    async def connected(self, path: str, *, origin: str | None = None) -> AsyncIterator[ClientConnection]:
        """A WebSocket, opened as this person."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())}
        if self.access_token is not None:
            headers["Authorization"] = f"Bearer {self.access_token}"
        address = self.site.address.replace("http", "ws", 1) + path
        async with connect(
            address,
            additional_headers={name: value for name, value in headers.items() if value},
            origin=origin or self.site.address,  # type: ignore[arg-type]  # a string by another name
            proxy=None,
            compression=None,
        ) as socket:
            yield socket
