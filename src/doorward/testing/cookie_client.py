"""A client that keeps cookies as a browser does, against an ASGI application or a server."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

_App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]
_Headers = list[tuple[str, str]]

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.  Names of headers are in small letters."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The value of a header, the first if there are several, or None."""
        return next(iter(self.values(name)), None)

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cookie:
    value: str
    path: str
    secure: bool
    http_only: bool
    expires_at: datetime | None


def _now() -> datetime:
    return datetime.now(UTC)


class CookieClient:
    """Keeps cookies like a browser: ``Secure``, ``Path``, ``Max-Age`` and the ``__Host-`` prefix decide.

    It stands on a page: calls that change something carry that page's ``Origin`` and ``Sec-Fetch-Site``.

    Args:
        target: an ASGI application, or the address of a server.
        base_url: where the application thinks that it is; of a server, its own address.
        page: the origin of the page that calls; the server's own by default, None for a client that is no browser.
        user_agent: what it calls itself.
        clock: what cookies expire by.
    """

    def __init__(
        self,
        target: _App | str,
        *,
        base_url: str = "http://127.0.0.1:8000",
        page: str | None = "",
        user_agent: str = "doorward-cookie-client",
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._target = target
        self._url = urlsplit(target if isinstance(target, str) else base_url)
        self._own = f"{self._url.scheme}://{self._url.netloc}"
        self.page = self._own if page == "" else page
        self.user_agent = user_agent
        self._clock = clock
        self._jar: dict[str, _Cookie] = {}

    @property
    def cookies(self) -> dict[str, str]:
        """What is in the jar, by name."""
        return {name: cookie.value for name, cookie in self._alive()}

    @property
    def readable_cookies(self) -> dict[str, str]:
        """What a script on the page can read: all but ``HttpOnly``."""
        return {name: cookie.value for name, cookie in self._alive() if not cookie.http_only}

    def plant(self, name: str, value: str) -> None:
        """Put a cookie into the jar, as an attacker on a sibling host does."""
        self._jar[name] = _Cookie(value=value, path="/", secure=False, http_only=True, expires_at=None)

    def copy(self, *, user_agent: str | None = None) -> Self:
        """Another client with a copy of this jar: a thief's."""
        other = type(self)(
            self._target,
            base_url=self._own,
            page=self.page,
            user_agent=user_agent or self.user_agent,
            clock=self._clock,
        )
        other._jar = dict(self._jar)  # noqa: SLF001 -- of its own kind
        return other

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> Answer:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.request("DELETE", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        content: bytes | None = None,
        bearer: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        keep_cookies: bool = True,
    ) -> Answer:
        """Send a request and keep the cookies of the answer.

        Args:
            method: of HTTP.
            path: with the query string.
            json: sent as JSON.
            form: sent as a form.
            content: sent as it is.
            bearer: an access token.
            headers: more headers, or None in the place of one that would be sent.
            keep_cookies: False for an answer that gets lost on its way.
        """
        body, content_type = _body_of(json, form, content)
        sent = self._headers(method, path.partition("?")[0], content_type, bearer)
        for name, value in (headers or {}).items():
            sent[name.lower()] = value
        pairs = [(name, value) for name, value in sent.items() if value is not None]
        answer = await self._send(method, path, pairs, body)
        if keep_cookies:
            for line in answer.values("set-cookie"):
                self._keep(line)
        return answer

    def _headers(self, method: str, path: str, content_type: str | None, bearer: str | None) -> dict[str, str | None]:
        sent: dict[str, str | None] = {"host": self._url.netloc, "user-agent": self.user_agent}
        sent["content-type"] = content_type
        sent["authorization"] = f"Bearer {bearer}" if bearer is not None else None
        crumbs = [f"{name}={cookie.value}" for name, cookie in self._alive() if self._goes_along(cookie, path)]
        sent["cookie"] = "; ".join(crumbs) if crumbs else None
        if self.page is not None and method in _UNSAFE:
            sent["origin"] = self.page
            sent["sec-fetch-site"] = "same-origin" if self.page == self._own else "cross-site"
        return sent

    # The jar

    def _alive(self) -> list[tuple[str, _Cookie]]:
        now = self._clock()
        return [(name, each) for name, each in self._jar.items() if each.expires_at is None or now < each.expires_at]

    def _goes_along(self, cookie: _Cookie, path: str) -> bool:
        return (not cookie.secure or self._is_secure) and path.startswith(cookie.path)

    @property
    def _is_secure(self) -> bool:
        # Browsers take loopback for as good as encrypted.
        return self._url.scheme == "https" or self._url.hostname in {"127.0.0.1", "localhost", "::1"}

    def _keep(self, line: str) -> None:
        """Take a ``Set-Cookie`` line, or leave it where a browser would."""
        first, *rest = [part.strip() for part in line.split(";")]
        name, _, value = first.partition("=")
        said = {key.lower(): text for key, _, text in (part.partition("=") for part in rest)}
        if not self._takes(name, said):
            return
        lives_for = timedelta(seconds=int(said["max-age"])) if "max-age" in said else None
        if lives_for is not None and lives_for <= timedelta(0):
            self._jar.pop(name, None)
            return
        self._jar[name] = _Cookie(
            value=value,
            path=said.get("path", "/"),
            secure="secure" in said,
            http_only="httponly" in said,
            expires_at=self._clock() + lives_for if lives_for is not None else None,
        )

    def _takes(self, name: str, said: Mapping[str, str]) -> bool:
        if "secure" in said and not self._is_secure:
            return False
        if "domain" in said and said["domain"].lstrip(".") != self._url.hostname:
            return False
        if name.startswith("__Host-"):
            # RFC 6265bis section 4.1.3.2
            bound = "secure" in said and said.get("path") == "/" and "domain" not in said
            return bound and self._url.scheme == "https"
        return True

    # The way there and back

    async def _send(self, method: str, path: str, headers: _Headers, body: bytes) -> Answer:
        if isinstance(self._target, str):
            return await self._send_to_server(method, path, headers, body)
        return await self._send_to_app(self._target, method, path, headers, body)

    async def _send_to_app(self, app: _App, method: str, path: str, headers: _Headers, body: bytes) -> Answer:
        place, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._url.scheme,
            "path": place,
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 50_000),
            "server": (self._url.hostname, self._url.port),
        }
        arrived: list[Any] = []
        to_come = [{"type": "http.request", "body": body, "more_body": False}]
        answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if to_come:
                return to_come.pop()
            # As from a server: then nothing until the client disconnects, which this one does once it has the answer.
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            arrived.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        await app(scope, receive, send)
        start = next(message for message in arrived if message["type"] == "http.response.start")
        return Answer(
            status=start["status"],
            headers=tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"]
            ),
            body=b"".join(each.get("body", b"") for each in arrived if each["type"] == "http.response.body"),
        )

    async def _send_to_server(self, method: str, path: str, headers: _Headers, body: bytes) -> Answer:
        """One connection a request: what is measured here is behaviour, not speed."""
        https = self._url.scheme == "https"
        reader, writer = await asyncio.open_connection(
            self._url.hostname,
            self._url.port or (443 if https else 80),
            ssl=ssl.create_default_context() if https else None,
        )
        lines = [
            f"{method} {self._url.path.rstrip('/')}{path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers),
        ]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        try:
            writer.write("\r\n".join(lines).encode("latin-1") + body)
            return _parse_answer(await reader.read(), method)
        finally:
            writer.close()


def _body_of(value: Any, form: Any, content: bytes | None) -> tuple[bytes, str | None]:
    if value is not None:
        return json.dumps(value).encode(), "application/json"
    if form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    return content or b"", None


class _Arrived:
    """As much of a socket as ``http.client`` wants."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> BytesIO:
        return BytesIO(self._data)


def _parse_answer(data: bytes, method: str) -> Answer:
    if not data:
        raise ConnectionError("the server closed the connection without an answer")
    response = HTTPResponse(_Arrived(data), method=method)  # type: ignore[arg-type]  # all that it uses of a socket
    response.begin()
    return Answer(
        status=response.status,
        headers=tuple((name.lower(), value) for name, value in response.getheaders()),
        body=response.read(),
    )
