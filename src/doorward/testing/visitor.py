"""Clients for tests of an application: on a bad line, signed in, robbed."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from doorward.sessions.model import Credentials
from doorward.testing.cookie_client import Answer, CookieClient
from doorward.wire.cookies import DEFAULT_PREFIX, REFRESH_COOKIE, SESSION_COOKIE

_OVER_HTTPS = "__Host-"


class InFlight:
    """A reply that is still on its way: the server has answered, and the client does not know yet."""

    def __init__(self, client: UnreliableClient, answer: Answer) -> None:
        self._client = client
        self._answer: Answer | None = answer

    def arrive(self) -> Answer:
        """Let it arrive now, after whatever has overtaken it: its cookies are kept only from here on."""
        if self._answer is None:
            raise RuntimeError("a reply arrives once")
        answer, self._answer = self._answer, None
        self._client.take(answer)
        return answer


class UnreliableClient(CookieClient):
    """A ``CookieClient`` on a bad line.  What goes wrong is said by the test, and so the same in every run."""

    def take(self, answer: Answer) -> None:
        """What the client does with a reply that has arrived."""
        for line in answer.values("set-cookie"):
            self._keep(line)

    async def lose(self, method: str, path: str, **options: Any) -> None:
        """Send a request; the server handles it, and its reply is lost."""
        await self.request(method, path, keep_cookies=False, **options)

    async def repeat(self, method: str, path: str, *, times: int = 2, **options: Any) -> list[Answer]:
        """Send the same request several times at once, as two tabs do, or a proxy that tries again."""
        sent = (self.request(method, path, keep_cookies=False, **options) for _ in range(times))
        answers = await asyncio.gather(*sent)
        for answer in answers:
            self.take(answer)
        return answers

    async def in_flight(self, method: str, path: str, **options: Any) -> InFlight:
        """Send a request whose reply takes long: others may overtake it before it is let ``arrive``."""
        return InFlight(self, await self.request(method, path, keep_cookies=False, **options))


class Visitor(UnreliableClient):
    """Somebody who has signed in: the tokens in one hand, a cookie jar in the other.

    Attributes:
        account_id: whose session it is.
        access_token: sent with each request, or None where a cookie carries the session.
        refresh_token: for ``refresh``, or None.
        csrf_token: what a page of the session sends in ``X-CSRF-Token`` where it cannot say its origin.
        refresh_path: where tokens are renewed.
    """

    account_id: str = ""
    access_token: str | None = None
    refresh_token: str | None = None
    csrf_token: str | None = None
    refresh_path: str = "/auth/v1/token"

    @property
    def headers(self) -> dict[str, str]:
        """What another client sends to make requests as this visitor: a framework's own test client, say.

        Cookies go with the names that they have over HTTPS and those that they have over HTTP, since the other client's
        address may be either; and with what a browser sends from a page of the application.
        """
        if self.access_token is not None:
            return {"Authorization": f"Bearer {self.access_token}"}
        values = {name.removeprefix(_OVER_HTTPS): value for name, value in self.cookies.items()}
        cookies = [f"{prefix}{name}={value}" for name, value in values.items() for prefix in ("", _OVER_HTTPS)]
        return {"Cookie": "; ".join(cookies), "Sec-Fetch-Site": "same-origin"}

    async def request(
        self, method: str, path: str, *, bearer: str | None = None, keep_cookies: bool = True, **options: Any
    ) -> Answer:
        """As ``CookieClient.request``, with the access token."""
        answer = await super().request(method, path, bearer=bearer or self.access_token, keep_cookies=False, **options)
        if keep_cookies:
            self.take(answer)
        return answer

    async def refresh(self, *, lost: bool = False) -> Answer:
        """Renew the tokens; with ``lost`` the reply never arrives, and the visitor goes on with what it has."""
        form = {"grant_type": "refresh_token"}
        if self.refresh_token is not None:
            form["refresh_token"] = self.refresh_token
        return await self.request("POST", self.refresh_path, form=form, keep_cookies=not lost)

    def take(self, answer: Answer) -> None:
        """Keep what a reply brings: cookies, and tokens where it has any."""
        super().take(answer)
        body = answer.json() if answer.status < 300 and answer.header("content-type") == "application/json" else None
        if isinstance(body, dict) and body.get("token_type") == "Bearer":
            self.access_token = body["access_token"]
            self.refresh_token = body.get("refresh_token", self.refresh_token)

    def hold(self, credentials: Credentials, *, https: bool, cookie_prefix: str = DEFAULT_PREFIX) -> None:
        """Keep what signing in has handed out, as if it had come by HTTP."""
        if credentials.access_token is not None:
            self.access_token = credentials.access_token.text.reveal()
        if credentials.handle is not None:
            self.plant(SESSION_COOKIE.name_on(prefix=cookie_prefix, https=https), credentials.handle.reveal())
        elif credentials.refresh_token is not None and credentials.csrf_token is not None:
            self.plant(REFRESH_COOKIE.name_on(prefix=cookie_prefix, https=https), credentials.refresh_token.reveal())
        elif credentials.refresh_token is not None:
            self.refresh_token = credentials.refresh_token.reveal()
        self.csrf_token = credentials.csrf_token

    def stolen(self, *, user_agent: str = "a thief") -> Self:
        """A holder of stolen copies: of every cookie and token that this visitor has now, on another machine."""
        thief = self.copy(user_agent=user_agent)
        thief.account_id = self.account_id
        thief.access_token, thief.refresh_token = self.access_token, self.refresh_token
        thief.csrf_token, thief.refresh_path = self.csrf_token, self.refresh_path
        return thief
