"""Whether an application has looked at who makes a request: the same rules for every framework.

``/public`` looks at nobody, everything else does, each in another way that its framework has.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, NamedTuple

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi import Response as FastApiResponse
from litestar import Litestar, Router, get
from litestar import Request as LitestarRequest
from litestar.di import NamedDependency
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from doorward import Principal
from doorward.doorward import Doorward as AnyDoorward
from doorward.testing import CookieClient
from doorward.web.asgi import AuthenticationMiddleware, DoorwardApp
from doorward.web.fastapi import Doorward as FastApiDoorward
from doorward.web.litestar import Doorward as LitestarDoorward
from doorward.web.looked import KEY, Looked, WatchedScope, is_looked_at, mark_looked
from doorward.web.starlette import Doorward as StarletteDoorward
from doorward.web.starlette import SignedInUser

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
WHO_ASKS = "Cookie, Authorization"
ACCEPT = {"vary": "Accept"}
OPTIONS: dict[str, Any] = {
    "strategy": "session",
    "secret": "one that nobody guesses, 40 characters",
    "insecure_fast_hashing": True,
    "rate_limits": False,
}


class Copying:
    """A middleware that hands on a copy of the scope, as some do."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope}, receive, send)


class Site(NamedTuple):
    auth: AnyDoorward
    app: Any
    looking: list[str]
    refusing: list[str]


def bare() -> Site:
    auth = AnyDoorward("memory:", **OPTIONS)

    async def answer(scope: Any, _: Any, send: Any) -> None:
        if scope["path"] == "/get":
            scope.get("doorward.principal")
        elif scope["path"] == "/copied":
            dict(scope)
        elif scope["path"] != "/public":
            assert "doorward.refusal" in scope
            scope["doorward.refusal"]
        headers = [(b"vary", b"Accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    contract = DoorwardApp(auth)
    inner = AuthenticationMiddleware(answer, auth)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        below = scope.get("path", "").startswith("/auth")
        await (contract({**scope, "root_path": "/auth"}, receive, send) if below else inner(scope, receive, send))

    return Site(auth, app, ["/get", "/copied", "/asked"], [])


def starlette() -> Site:
    auth = StarletteDoorward("memory:", **OPTIONS)

    async def public(_: Request) -> Any:
        return PlainTextResponse("hello", headers=ACCEPT)

    async def user(request: Request) -> Any:
        return JSONResponse({"user": request.user.is_authenticated}, headers=ACCEPT)

    async def kind(request: Request) -> Any:
        return JSONResponse({"user": isinstance(request.user, SignedInUser)}, headers=ACCEPT)

    async def streamed(request: Request) -> Any:
        name = request.user.display_name
        return StreamingResponse((part for part in (name, "!")), headers=ACCEPT)

    @auth.requires()
    async def needed(request: Request) -> Any:
        return JSONResponse({"user": request.user.identity}, headers=ACCEPT)

    class Endpoint(HTTPEndpoint):
        @auth.requires()
        async def get(self, request: Request) -> Any:
            return JSONResponse({"user": request.user.identity}, headers=ACCEPT)

    inner = Starlette(routes=[Route("/user", user), Route("/needed", needed)], middleware=[Middleware(Copying)])
    app = Starlette(
        routes=[
            *(Route(f"/{each.__name__}", each) for each in (public, user, kind, streamed, needed)),
            Route("/endpoint", Endpoint),
            Mount("/inner", app=inner),
            auth.mount("/auth"),
        ],
        middleware=[auth.middleware],
        lifespan=auth.lifespan,
    )
    return Site(auth, app, ["/user", "/kind", "/streamed", "/inner/user"], ["/needed", "/inner/needed", "/endpoint"])


def fastapi(*, mounted: bool = True) -> Site:
    auth = FastApiDoorward("memory:", **OPTIONS)
    app, inner, router = FastAPI(), FastAPI(), APIRouter()
    if mounted:
        auth.mount(app, "/auth")
    else:
        app.mount("/auth", DoorwardApp(auth))
    Whoever = Annotated[Principal | None, Depends(auth.optional_principal)]  # noqa: N806 -- a type

    @app.get("/public")
    async def public() -> Any:
        return PlainTextResponse("hello", headers=ACCEPT)

    @app.get("/optional")
    async def optional(_: Whoever, response: FastApiResponse) -> str:
        response.headers["vary"] = "Accept"
        return "hello"

    @app.get("/plain")
    async def plain(_: Whoever) -> str:
        return "hello"

    @app.get("/response")
    def response(_: Whoever) -> Any:
        return StreamingResponse(iter(["hello"]), headers=ACCEPT)

    @router.get("/needed", dependencies=[Depends(auth.principal)])
    @inner.get("/needed", dependencies=[Depends(auth.principal)])
    @app.get("/needed", dependencies=[Depends(auth.principal)])
    async def needed() -> Any:
        return JSONResponse("hello", headers=ACCEPT)

    @inner.get("/role")
    async def role(principal: Annotated[Principal | None, Depends(auth.optional_principal)]) -> Any:
        if principal is not None:
            principal.require(roles={"analyst"})
        return JSONResponse("hello", headers=ACCEPT)

    app.include_router(router, prefix="/router")
    app.mount("/inner", inner)
    refusing = ["/needed", "/router/needed", "/inner/needed"]
    return Site(auth, app, ["/optional", "/response"], refusing)


def litestar(*, middleware: bool = False) -> Site:
    auth = LitestarDoorward("memory:", **OPTIONS)

    @get("/public", response_headers=ACCEPT)
    async def public() -> str:
        return "hello"

    @get("/optional", response_headers=ACCEPT)
    async def optional(optional_principal: NamedDependency[Principal | None]) -> str:
        return str(optional_principal is not None)

    @get("/user", response_headers=ACCEPT)
    async def user(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(request.user is not None)

    @get("/needed", response_headers=ACCEPT)
    async def needed(principal: NamedDependency[Principal]) -> str:
        return principal.subject

    @get("/guarded", guards=[auth.requires()], response_headers=ACCEPT)
    async def guarded() -> str:
        return "hello"

    app = Litestar(
        [
            public,
            optional,
            needed,
            guarded,
            Router("/router", route_handlers=[needed]),
            *([user] if middleware else []),
        ],
        plugins=[auth.mount("/auth")],
        middleware=[auth.middleware] if middleware else [],
    )
    return Site(auth, app, ["/optional", *(["/user"] if middleware else [])], ["/needed", "/guarded", "/router/needed"])


SITES: dict[str, Callable[[], Site]] = {
    "bare ASGI": bare,
    "Starlette": starlette,
    "FastAPI": fastapi,
    "FastAPI without mount()": lambda: fastapi(mounted=False),
    "Litestar": litestar,
    "Litestar with its middleware": lambda: litestar(middleware=True),
}


@asynccontextmanager
async def visited(name: str) -> AsyncIterator[tuple[Site, CookieClient, CookieClient]]:
    """A site, somebody who is signed in, and somebody who is not."""
    site = SITES[name]()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(site.auth)
        ada, visitor = CookieClient(site.app), CookieClient(site.app)
        assert (await ada.post("/auth/v1/accounts", json=ADA)).status == 201
        assert (await ada.post("/auth/v1/sessions", json=ADA)).status == 201
        yield site, ada, visitor


@pytest.mark.parametrize("name", list(SITES))
async def test_an_answer_varies_where_the_application_has_looked_at_who_asks(name: str) -> None:
    async with visited(name) as (site, ada, visitor):
        if "without" in name:
            await ada.get("/needed")  # from whose answer on the application is known
        for path in site.looking:
            for client in (ada, visitor):
                answer = await client.get(path)
                assert (path, answer.status, answer.values("vary")) == (path, 200, [f"Accept, {WHO_ASKS}"])
        for path in site.refusing:
            allowed, refused = await ada.get(path), await visitor.get(path)
            assert (path, allowed.status, allowed.values("vary")) == (path, 200, [f"Accept, {WHO_ASKS}"])
            assert (path, refused.status, refused.values("vary")) == (path, 401, [WHO_ASKS])
            assert refused.header("content-type") == "application/problem+json"
            assert refused.header("www-authenticate") == "Bearer"
            assert refused.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("name", list(SITES))
async def test_an_answer_does_not_vary_by_who_asks_where_nobody_looked(name: str) -> None:
    async with visited(name) as (_, ada, visitor):
        for client in (ada, visitor):
            assert (await client.get("/public")).values("vary") == ["Accept"]


async def test_the_first_answer_of_an_application_that_was_not_mounted_varies_too() -> None:
    async with visited("FastAPI without mount()") as (_, ada, _visitor):
        assert (await ada.get("/plain")).values("vary") == [WHO_ASKS]


async def test_a_missing_role_is_a_403_in_a_nested_application() -> None:
    async with visited("FastAPI") as (_, ada, _visitor):
        refused = await ada.get("/inner/role")
        assert (refused.status, refused.json()["code"]) == (403, "not_permitted")


async def test_an_endpoint_without_the_middleware_says_what_is_missing() -> None:
    auth = StarletteDoorward("memory:", **OPTIONS)

    @auth.requires()
    async def needed(_: Request) -> Any:
        raise AssertionError("nobody was let in")

    with pytest.raises(RuntimeError, match=r"auth\.middleware"):
        await CookieClient(Starlette(routes=[Route("/", needed)])).get("/")


# The scope that notices


def a_scope() -> WatchedScope:
    return WatchedScope({"type": "http", "path": "/"}, {"doorward.principal": None, "user": "nobody"})


@pytest.mark.parametrize(
    "look",
    [
        lambda scope: scope["user"],
        lambda scope: scope.get("doorward.principal"),
        lambda scope: scope.get("user", "x"),
        lambda scope: scope.pop("user"),
        lambda scope: {**scope},
        dict,
        list,
        lambda scope: scope.copy(),
        lambda scope: scope.items(),
        lambda scope: scope.keys(),
        lambda scope: scope.values(),
        lambda scope: {} | scope,
        lambda scope: scope | {},
        lambda scope: json.dumps(scope, default=str),
    ],
)
def test_whoever_reads_or_copies_what_says_who_asks_has_looked(look: Callable[[Any], Any]) -> None:
    scope = a_scope()
    look(scope)
    assert is_looked_at(scope)


def test_any_other_key_is_no_look_and_neither_is_whether_there_is_one() -> None:
    scope = a_scope()
    assert scope["path"] == "/"
    assert scope.get("root_path", "") == ""
    assert "user" in scope
    assert "nothing" not in scope
    scope["app"] = 1
    scope.update({"endpoint": 2})
    scope.setdefault("state", {})
    with pytest.raises(KeyError):
        scope["nothing"]
    assert not is_looked_at(scope)


def test_a_copy_has_what_the_scope_has_and_a_look_into_it_is_one() -> None:
    scope = a_scope()
    copied = {**scope}
    assert copied["user"] == "nobody"
    outer: dict[str, Any] = {KEY: Looked()}
    mark_looked({**outer})
    assert is_looked_at(outer)


def test_what_an_application_sets_itself_stays() -> None:
    scope = a_scope()
    scope["user"] = "somebody"
    assert scope["doorward.principal"] is None
    assert scope["user"] == "somebody"
