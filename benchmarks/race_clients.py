"""How each system is spoken to from outside, over HTTP and as its documentation says: for ``benchmarks/races.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from benchmarks.refreshing_peers import CLIENT

PASSWORD = "seven green kettles whistle at dawn"
OTHER_PASSWORD = "eight brown teapots hum at midnight"


class NotOfferedError(Exception):
    """There is no such thing there; says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What somebody holds who is signed in.

    Args:
        access: what requests carry.
        refresh: what is presented for the next of both.
    """

    access: str
    refresh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer that says no, and in which words."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """An answer that asks to come again."""

    seconds: float


Refreshed = Held | Refused | Later


def a_session(port: int) -> httpx.AsyncClient:
    """Connections to one server.  No cookie is kept: whoever holds one says so."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"Accept": "application/json"},
        timeout=httpx.Timeout(30, pool=None),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=2),
    )


class Client(ABC):
    """One system.  Each method is one request, but where it says otherwise."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @abstractmethod
    async def sign_in(self, email: str) -> Held:
        """Sign in by ``PASSWORD``."""

    async def refresh(self, token: str) -> Refreshed:
        """Present a refresh token."""
        answer = await self._present(token)
        if answer.status_code == 503:
            return Later(seconds=float(answer.headers.get("Retry-After", "1")))
        if answer.status_code != 200:
            return Refused(why=_told(answer))
        return self._held(answer, token)

    @abstractmethod
    async def _present(self, token: str) -> httpx.Response: ...

    @abstractmethod
    def _held(self, answer: httpx.Response, token: str) -> Held: ...

    @abstractmethod
    async def is_in(self, access: str) -> bool:
        """Whether a request with it is let through."""

    @abstractmethod
    async def sign_out(self, held: Held) -> None:
        """End this session."""

    async def sign_out_everywhere(self, held: Held) -> None:  # noqa: ARG002 -- for those that have it
        """End all sessions of the account."""
        raise NotOfferedError("it has no operation that ends all of a user's sessions or tokens")

    @abstractmethod
    async def change_password(self, held: Held) -> None:
        """Change it to ``OTHER_PASSWORD``."""

    async def _get(self, path: str, headers: Mapping[str, str]) -> bool:
        answer = await self._http.get(path, headers=headers)
        assert answer.status_code in {200, 302, 401, 403}, _told(answer)
        return answer.status_code == 200


def _told(answer: httpx.Response) -> str:
    """The status, and the word for it in the body."""
    try:
        body = answer.json()
    except ValueError:
        return str(answer.status_code)
    words = [*_words(body), ""]
    return f"{answer.status_code} {words[0]}".strip()


def _words(body: Any) -> list[str]:
    if isinstance(body, dict):
        named = [body[name] for name in ("error", "code", "detail", "errors") if isinstance(body.get(name), str | list)]
        inner = [word for value in body.values() if isinstance(value, dict) for word in _words(value)]
        return [*(str(each[0]) if isinstance(each, list) and each else str(each) for each in named), *inner]
    return []


def _good(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, f"{answer.request.url}: {_told(answer)}"
    return answer


def _bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


class Doorward(Client):
    """Tokens in bodies, as for a client that is no browser."""

    async def sign_in(self, email: str) -> Held:
        answer = await self._http.post("/v1/sessions", json={"email": email, "password": PASSWORD, "carrier": "token"})
        return self._held(_good(answer), "")

    async def _present(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return await self._http.post("/v1/token", data=form)

    def _held(self, answer: httpx.Response, token: str) -> Held:  # noqa: ARG002 -- as the others
        body = answer.json()
        return Held(access=body["access_token"], refresh=body["refresh_token"])

    async def is_in(self, access: str) -> bool:
        return await self._get("/v1/sessions/current", _bearer(access))

    async def sign_out(self, held: Held) -> None:
        _good(await self._http.delete("/v1/sessions/current", headers=_bearer(held.access)))

    async def sign_out_everywhere(self, held: Held) -> None:
        _good(await self._http.delete("/v1/sessions", headers=_bearer(held.access)))

    async def change_password(self, held: Held) -> None:
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        _good(await self._http.put("/v1/password", json=body, headers=_bearer(held.access)))


class Simplejwt(Client):
    async def sign_in(self, email: str) -> Held:
        return self._held(_good(await self._http.post("/token", json={"username": email, "password": PASSWORD})), "")

    async def _present(self, token: str) -> httpx.Response:
        return await self._http.post("/token/refresh", json={"refresh": token})

    def _held(self, answer: httpx.Response, token: str) -> Held:  # noqa: ARG002 -- as the others
        body = answer.json()
        return Held(access=body["access"], refresh=body["refresh"])

    async def is_in(self, access: str) -> bool:
        return await self._get("/me", _bearer(access))

    async def sign_out(self, held: Held) -> None:
        _good(await self._http.post("/token/blacklist", json={"refresh": held.refresh}))

    async def change_password(self, held: Held) -> None:
        _good(await self._http.post("/password", json={"new_password": OTHER_PASSWORD}, headers=_bearer(held.access)))


class Toolkit(Client):
    """django-oauth-toolkit, by a public client."""

    async def sign_in(self, email: str) -> Held:
        form = {"grant_type": "password", "username": email, "password": PASSWORD, "client_id": CLIENT}
        return self._held(_good(await self._http.post("/o/token/", data=form)), "")

    async def _present(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT}
        return await self._http.post("/o/token/", data=form)

    def _held(self, answer: httpx.Response, token: str) -> Held:  # noqa: ARG002 -- as the others
        body = answer.json()
        return Held(access=body["access_token"], refresh=body["refresh_token"])

    async def is_in(self, access: str) -> bool:
        return await self._get("/me", _bearer(access))

    async def sign_out(self, held: Held) -> None:
        form = {"token": held.refresh, "token_type_hint": "refresh_token", "client_id": CLIENT}
        _good(await self._http.post("/o/revoke_token/", data=form))

    async def change_password(self, held: Held) -> None:
        _good(await self._http.post("/password", json={"new_password": OTHER_PASSWORD}, headers=_bearer(held.access)))


class FlaskSecurity(Client):
    async def sign_in(self, email: str) -> Held:
        body = {"email": email, "password": PASSWORD}
        return self._held(_good(await self._http.post("/login?include_auth_token", json=body)), "")

    async def _present(self, token: str) -> httpx.Response:
        return await self._http.post("/refresh-token", json={"refresh_token": token})

    def _held(self, answer: httpx.Response, token: str) -> Held:  # noqa: ARG002 -- as the others
        user = answer.json()["response"]["user"]
        return Held(access=user["authentication_token"], refresh=user["refresh_token"])

    async def is_in(self, access: str) -> bool:
        return await self._get("/me", self._carrying(access))

    async def sign_out(self, held: Held) -> None:
        body = {"refresh_token": held.refresh}
        _good(await self._http.post("/logout", json=body, headers=self._carrying(held.access)))

    async def sign_out_everywhere(self, held: Held) -> None:
        _good(await self._http.post("/everywhere", json={}, headers=self._carrying(held.access)))

    async def change_password(self, held: Held) -> None:
        body = {"password": PASSWORD, "new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD}
        _good(await self._http.post("/change", json=body, headers=self._carrying(held.access)))

    def _carrying(self, access: str) -> dict[str, str]:
        return {"Authentication-Token": access}


class BetterAuth(Client):
    """A session by a cookie, which is both: what requests carry, and what is extended."""

    async def sign_in(self, email: str) -> Held:
        body = {"email": email, "password": PASSWORD}
        answer = _good(await self._http.post("/api/auth/sign-in/email", json=body, headers=self._carrying("")))
        return self._held(answer, "")

    async def _present(self, token: str) -> httpx.Response:
        return await self._http.get("/api/auth/get-session", headers=self._carrying(token))

    async def refresh(self, token: str) -> Refreshed:
        answer = await self._present(token)
        # Without a session it answers null.
        return self._held(answer, token) if _good(answer).json() is not None else Refused(why="200 null")

    def _held(self, answer: httpx.Response, token: str) -> Held:
        name = "better-auth.session_token="
        given = [
            cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie") if cookie.startswith(name)
        ]
        cookie = given[0] if given else token
        return Held(access=cookie, refresh=cookie)

    async def is_in(self, access: str) -> bool:
        return isinstance(await self.refresh(access), Held)

    async def sign_out(self, held: Held) -> None:
        _good(await self._http.post("/api/auth/sign-out", json={}, headers=self._carrying(held.access)))

    async def sign_out_everywhere(self, held: Held) -> None:
        _good(await self._http.post("/api/auth/revoke-sessions", json={}, headers=self._carrying(held.access)))

    async def change_password(self, held: Held) -> None:
        body = {"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD, "revokeOtherSessions": True}
        _good(await self._http.post("/api/auth/change-password", json=body, headers=self._carrying(held.access)))

    def _carrying(self, cookie: str) -> dict[str, str]:
        own = {"Origin": str(self._http.base_url).rstrip("/")}
        return own | ({"Cookie": cookie} if cookie else {})


class FastapiUsers(Client):
    """Its database strategy; whoever signs in signs up first."""

    async def sign_in(self, email: str) -> Held:
        await self._http.post("/register", json={"email": email, "password": PASSWORD})
        answer = _good(await self._http.post("/login", data={"username": email, "password": PASSWORD}))
        return Held(access=answer.json()["access_token"], refresh="")

    async def _present(self, token: str) -> httpx.Response:  # noqa: ARG002 -- as the others
        raise NotOfferedError("it has no refresh tokens")

    def _held(self, answer: httpx.Response, token: str) -> Held:
        raise NotImplementedError

    async def is_in(self, access: str) -> bool:
        return await self._get("/me", _bearer(access))

    async def sign_out(self, held: Held) -> None:
        _good(await self._http.post("/logout", headers=_bearer(held.access)))

    async def change_password(self, held: Held) -> None:
        _good(await self._http.patch("/users/me", json={"password": OTHER_PASSWORD}, headers=_bearer(held.access)))
