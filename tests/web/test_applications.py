"""One application, under each framework and each strategy, through one list of scenarios; nothing else changes."""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args

import pytest
from fastapi import Depends, FastAPI
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from litestar.di import NamedDependency
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward import Principal
from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.doorward import Doorward as AnyDoorward
from doorward.options import Strategy
from doorward.testing import Answer, CookieClient, FakeClock
from doorward.web.fastapi import Doorward as FastApiDoorward
from doorward.web.litestar import Doorward as LitestarDoorward
from doorward.web.starlette import Doorward as StarletteDoorward

ROOT = Path(__file__).parents[2]
EXAMPLES = {name: f"examples/{name}_app.py" for name in ("fastapi", "litestar", "starlette")}
PERSON = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
IN_MEMORY = 'Doorward("memory:", strategy="{strategy}", insecure_fast_hashing=True, rate_limits=False)'


class Person:
    """Somebody with a client: the access token in one hand, a cookie jar in the other."""

    def __init__(self, app: Any) -> None:
        self.client = CookieClient(app)
        self.access_token: str | None = None
        self.refresh_token: str | None = None

    async def sign_in(self) -> Answer:
        answer = await self.client.post("/auth/v1/sessions", json=PERSON)
        self._take(answer)
        return answer

    async def refresh(self) -> Answer:
        answer = await self.client.post(
            "/auth/v1/token", form={"grant_type": "refresh_token", "refresh_token": self.refresh_token or ""}
        )
        self._take(answer)
        return answer

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        return await self.client.request(method, path, bearer=self.access_token, **options)

    def _take(self, answer: Answer) -> None:
        if answer.status < 300:
            self.access_token = answer.json().get("access_token")
            self.refresh_token = answer.json().get("refresh_token")


class Application:
    """An example, loaded with another database; nothing else of it is changed but the one word."""

    def __init__(self, framework: str, strategy: str) -> None:
        source = (ROOT / EXAMPLES[framework]).read_text()
        wanted = IN_MEMORY.format(strategy=strategy)
        source, changed = re.subn(r'Doorward\("sqlite:///app\.db", strategy="hybrid"\)', wanted, source)
        assert changed == 1
        module = ModuleType(f"example_{framework}_{strategy}")
        sys.modules[module.__name__] = module  # where frameworks look what annotations mean
        exec(compile(source, EXAMPLES[framework], "exec", dont_inherit=True), module.__dict__)
        self.app: Any = module.app
        self.auth: AnyDoorward = module.auth
        self.strategy = strategy

    async def person(self) -> Person:
        person = Person(self.app)
        answer = await person.client.post("/auth/v1/accounts", json=PERSON)
        assert answer.status in {201, 409}
        assert (await person.sign_in()).status == 201
        return person


def lifespan_of(app: Any) -> AbstractAsyncContextManager[Any]:
    """Start and stop an application as its server does."""
    context: AbstractAsyncContextManager[Any] = (
        app.lifespan() if isinstance(app, Litestar) else app.router.lifespan_context(app)
    )
    return context


@asynccontextmanager
async def running(framework: str, strategy: str) -> AsyncIterator[Application]:
    application = Application(framework, strategy)
    async with lifespan_of(application.app):
        yield application
    assert not application.auth.is_open


async def nobody_is_refused(application: Application) -> None:
    answer = await CookieClient(application.app).get("/me")
    assert answer.status == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer.header("www-authenticate") == "Bearer"


async def who_is_signed_in_is_told(application: Application) -> None:
    person = await application.person()
    answer = await person.ask("GET", "/me")
    current = (await person.ask("GET", "/auth/v1/sessions/current")).json()
    assert answer.json() == {"account": current["account"]["id"], "session": current["session"]["id"]}


async def roles_are_required(application: Application) -> None:
    person = await application.person()
    refused = await person.ask("GET", "/reports")
    assert (refused.status, refused.json()["code"]) == (403, "not_permitted")
    account = (await person.ask("GET", "/me")).json()["account"]
    await application.auth.change_account(account, AccountChange(roles=("analyst",)), actor=Actor())
    await person.sign_in()
    assert (await person.ask("GET", "/reports")).status == 200


async def signing_out_shows_on_the_next_request(application: Application) -> None:
    person = await application.person()
    thief = Person(application.app)
    thief.client, thief.access_token = person.client.copy(), person.access_token
    assert (await thief.ask("GET", "/me")).status == 200
    assert (await person.ask("DELETE", "/auth/v1/sessions/current")).status == 204
    refused = await thief.ask("GET", "/me")
    assert (refused.status, refused.json()["code"]) == (401, "session_ended")
    assert refused.json()["reason"] == "signed_out"


async def another_device_is_ended_from_here(application: Application) -> None:
    here, there = await application.person(), await application.person()
    sessions = (await here.ask("GET", "/auth/v1/sessions")).json()["sessions"]
    assert [each["current"] for each in sessions].count(True) == 1
    other = (await there.ask("GET", "/me")).json()["session"]
    assert (await here.ask("DELETE", f"/auth/v1/sessions/{other}")).status == 204
    assert (await there.ask("GET", "/me")).status == 401
    assert (await here.ask("GET", "/me")).status == 200


async def all_sessions_end_at_once(application: Application) -> None:
    here, there = await application.person(), await application.person()
    answer = await here.ask("DELETE", "/auth/v1/sessions")
    assert answer.status == 200
    assert answer.json()["revoked"] >= 2
    assert [(await each.ask("GET", "/me")).status for each in (here, there)] == [401, 401]


async def refreshing_goes_on(application: Application) -> None:
    if application.strategy != "hybrid":
        return  # there is nothing to refresh
    person = await application.person()
    first = person.refresh_token
    assert (await person.refresh()).status == 200
    assert (await person.ask("GET", "/me")).status == 200
    assert person.refresh_token != first


async def a_forged_token_is_nobodys(application: Application) -> None:
    forged = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.AA"
    answer = await CookieClient(application.app).get("/me", bearer=forged)
    assert (answer.status, answer.json()["code"]) == (401, "invalid_token")
    assert "invalid_token" in (answer.header("www-authenticate") or "")


async def a_disabled_account_is_out_at_once(application: Application) -> None:
    person = await application.person()
    account = (await person.ask("GET", "/me")).json()["account"]
    await application.auth.change_account(account, AccountChange(disabled=True), actor=Actor())
    refused = await person.ask("GET", "/me")
    assert (refused.status, refused.json()["reason"]) == (401, "account_disabled")
    assert (await person.client.post("/auth/v1/sessions", json=PERSON)).status == 401


SCENARIOS: list[Callable[[Application], Awaitable[None]]] = [
    nobody_is_refused,
    who_is_signed_in_is_told,
    roles_are_required,
    signing_out_shows_on_the_next_request,
    another_device_is_ended_from_here,
    all_sessions_end_at_once,
    refreshing_goes_on,
    a_forged_token_is_nobodys,
    a_disabled_account_is_out_at_once,
]


@pytest.mark.anyio
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("framework", EXAMPLES)
async def test_the_same_application_under_every_strategy(
    framework: str, strategy: str, scenario: Callable[[Application], Awaitable[None]]
) -> None:
    async with running(framework, strategy) as application:
        await scenario(application)


@pytest.mark.anyio
@pytest.mark.parametrize("framework", EXAMPLES)
async def test_a_foreign_page_cannot_use_the_cookie_on_the_applications_own_routes(framework: str) -> None:
    async with running(framework, "session") as application:
        person = await application.person()
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        reading = await person.ask("GET", "/me", headers=foreign)
        assert reading.status == 200  # the answer is not readable there: no CORS header goes with it
        assert reading.header("access-control-allow-origin") is None
        writing = await person.ask("DELETE", "/auth/v1/sessions/current", headers=foreign)
        assert (writing.status, writing.json()["code"]) == (403, "csrf_failed")


@pytest.mark.anyio
@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_a_route_may_want_a_recent_proof_of_who_it_is(framework: str) -> None:
    clock = FakeClock()
    app: Any
    auth: AnyDoorward
    if framework == "fastapi":
        fastapi = FastApiDoorward("memory:", strategy="session", insecure_fast_hashing=True, clock=clock)
        auth, app = fastapi, (api := FastAPI())
        fastapi.mount(api, "/auth")

        @api.get("/secret")
        async def secret(who: Annotated[Principal, Depends(fastapi.requires(fresh=timedelta(minutes=5)))]) -> str:
            return who.subject
    else:
        auth = starlette = StarletteDoorward("memory:", strategy="session", insecure_fast_hashing=True, clock=clock)

        @starlette.requires(fresh=timedelta(minutes=5))
        async def endpoint(request: Request) -> JSONResponse:
            return JSONResponse(request.user.principal.subject)

        routes = [Route("/secret", endpoint), starlette.mount("/auth")]
        app = Starlette(routes=routes, middleware=[starlette.middleware])
    async with auth:
        client = CookieClient(app, clock=clock)
        account = (await client.post("/auth/v1/accounts", json=PERSON)).json()["account"]["id"]
        await client.post("/auth/v1/sessions", json=PERSON)
        assert (await client.get("/secret")).json() == account
        clock.move(timedelta(minutes=5, seconds=1))
        answer = await client.get("/secret")
        assert (answer.status, answer.json()["max_age"]) == (401, 300)
        assert answer.json()["code"] == "insufficient_user_authentication"
        await client.post("/auth/v1/sessions", json=PERSON)
        assert (await client.get("/secret")).status == 200


@pytest.mark.anyio
async def test_a_page_that_needs_nobody_is_shown_to_somebody_whose_session_has_ended() -> None:
    async with running("starlette", "session") as application:
        person = await application.person()
        assert (await person.ask("GET", "/")).json() == {"signed_in": True}
        keep = person.client.copy()
        await person.ask("DELETE", "/auth/v1/sessions/current")
        assert (await keep.get("/")).json() == {"signed_in": False}


@pytest.mark.anyio
async def test_where_nobody_is_needed_whoever_was_signed_in_is_nobody() -> None:
    auth = FastApiDoorward("memory:", strategy="session", insecure_fast_hashing=True)
    app = FastAPI()
    auth.mount(app, "/auth")

    @app.get("/greeting")
    async def greeting(principal: Annotated[Principal | None, Depends(auth.optional_principal)]) -> dict[str, bool]:
        return {"known": principal is not None}

    async with app.router.lifespan_context(app):
        client = CookieClient(app)
        assert (await client.get("/greeting")).json() == {"known": False}
        await client.post("/auth/v1/accounts", json=PERSON)
        await client.post("/auth/v1/sessions", json=PERSON)
        assert (await client.get("/greeting")).json() == {"known": True}
        before = client.copy()
        await client.delete("/auth/v1/sessions/current")
        assert (await before.get("/greeting")).json() == {"known": False}
        assert (await client.get("/greeting", bearer="no.token.atall")).json() == {"known": False}


@pytest.mark.anyio
async def test_in_litestar_too_whoever_was_signed_in_is_nobody_where_nobody_is_needed() -> None:
    auth = LitestarDoorward("memory:", strategy="session", insecure_fast_hashing=True)

    @get("/greeting")
    async def greeting(optional_principal: NamedDependency[Principal | None]) -> dict[str, bool]:
        return {"known": optional_principal is not None}

    @get("/user", guards=[auth.requires()])
    async def user(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(request.user.subject)

    app: Any = Litestar([greeting, user], plugins=[auth.mount("/auth")])
    async with app.lifespan():
        client = CookieClient(app)
        assert (await client.get("/greeting")).json() == {"known": False}
        account = (await client.post("/auth/v1/accounts", json=PERSON)).json()["account"]
        await client.post("/auth/v1/sessions", json=PERSON)
        assert (await client.get("/greeting")).json() == {"known": True}
        assert (await client.get("/user")).body.decode() == account["id"]
        before = client.copy()
        await client.delete("/auth/v1/sessions/current")
        assert (await before.get("/greeting")).json() == {"known": False}
        assert (await before.get("/user")).status == 401


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/auth/healthz", 200),
        ("/auth/healthz/", 200),  # as for any route of Litestar's
        ("/authority/healthz", 404),
        ("/auth", 404),
        ("/auth/auth/healthz", 404),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/auth", "/v1"])
async def test_below_litestars_mount_the_path_is_that_of_the_contract(path: str, status: int, root_path: str) -> None:
    auth = LitestarDoorward("memory:", insecure_fast_hashing=True)
    app = Litestar(plugins=[auth.mount("/auth")])

    async def behind_a_proxy(scope: Any, receive: Any, send: Any) -> None:
        outside: Any = {**scope, "root_path": root_path, "path": root_path + scope["path"]}
        await app(outside, receive, send)

    async with app.lifespan():
        answer = await CookieClient(behind_a_proxy).get(path)
        assert answer.status == status
        account = await CookieClient(behind_a_proxy).post("/auth/v1/accounts", json=PERSON)
        assert account.status == 201


@pytest.mark.anyio
@pytest.mark.parametrize("framework", ["fastapi", "litestar"])
async def test_mounted_without_a_lifespan_it_opens_with_the_first_request(framework: str) -> None:
    application = Application(framework, "hybrid")
    try:
        assert not application.auth.is_open
        assert (await CookieClient(application.app).get("/me")).status == 401
        assert application.auth.is_open
    finally:
        await application.auth.close()


def test_the_readme_and_the_guides_show_the_examples_as_they_are() -> None:
    shown = {"README.md": "fastapi", "docs/guides/fastapi.md": "fastapi", "docs/guides/starlette.md": "starlette"}
    for page, name in shown.items():
        assert (ROOT / EXAMPLES[name]).read_text().strip() in (ROOT / page).read_text(), f"{page} has another {name}"


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.anyio
@pytest.mark.parametrize("framework", ["fastapi", "litestar"])
async def test_the_document_of_an_application_says_how_to_authenticate(framework: str) -> None:
    app = Application(framework, "hybrid").app
    document = app.openapi_schema.to_schema() if framework == "litestar" else app.openapi()
    assert document["paths"]["/me"]["get"]["security"] == [{"doorward": []}]
    assert document["paths"]["/reports"]["get"]["security"] == [{"doorward": []}]
    assert document["components"]["securitySchemes"]["doorward"]["scheme"] == "bearer"
