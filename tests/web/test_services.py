"""The examples of services that take tokens of an issuer elsewhere, and what they answer where nobody may."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from doorward.http.problems import SESSION_OVER
from doorward.testing import Answer, CookieClient
from doorward.verifier import Verifier
from doorward.web.verifier.asgi import VerifierMiddleware
from doorward.web.verifier.fastapi import Verifier as FastApiVerifier
from doorward.web.verifier.flask import Verifier as FlaskVerifier
from doorward.web.verifier.litestar import Verifier as LitestarVerifier
from doorward.web.verifier.starlette import Verifier as StarletteVerifier
from tests.verifier.conftest import FakeTicks, Verifiers, eventually, verifiers_of
from tests.verifier.issuer import CREDENTIAL, Issuer, an_issuer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
WRITES: dict[str, Any] = {"scope": "payments:write", "sid": "ses_2"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with an_issuer() as running:
        yield running


@pytest.fixture
def a_verifier(issuer: Issuer) -> Iterator[Verifiers]:
    with verifiers_of(issuer) as make:
        yield make


AnyVerifier = FastApiVerifier | FlaskVerifier | LitestarVerifier | StarletteVerifier


class FlaskClient:
    """As much of a ``CookieClient`` as these tests want, over Flask's own."""

    def __init__(self, app: Any) -> None:
        self._client = app.test_client()

    async def get(self, path: str, **options: Any) -> Answer:
        return await self._ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self._ask("POST", path, **options)

    async def _ask(
        self, method: str, path: str, *, bearer: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        sent = {**(headers or {}), **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        answer = await asyncio.to_thread(self._client.open, path, method=method, headers=sent)
        got = tuple((name.lower(), value) for name, value in answer.headers)
        return Answer(status=answer.status_code, headers=got, body=answer.data)


class Service:
    """An example, loaded with an issuer on loopback."""

    def __init__(self, framework: str) -> None:
        folder = ROOT / "tests" / "web" if framework == "litestar" else ROOT / "examples"
        path = folder / f"{framework}_service.py"
        module = ModuleType(f"example_{framework}_service")
        sys.modules[module.__name__] = module  # where frameworks look what annotations mean
        exec(compile(path.read_text(), path, "exec", dont_inherit=True), module.__dict__)
        self.app: Any = module.app
        self.verifier: AnyVerifier = module.verifier
        self.ticks = self.verifier._ticks = FakeTicks()
        self.client: CookieClient | FlaskClient = (
            FlaskClient(self.app) if framework == "flask" else CookieClient(self.app)
        )

    async def get(self, token: str | None) -> Answer:
        return await self.client.get("/payments", bearer=token)

    async def post(self, token: str | None) -> Answer:
        return await self.client.post("/payments", bearer=token)


@pytest.fixture(params=["fastapi", "flask", "litestar", "starlette"])
def service(request: pytest.FixtureRequest, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("ISSUER", issuer.address)
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", CREDENTIAL)
    loaded = Service(request.param)
    with loaded.verifier:
        yield loaded


async def test_a_token_of_the_issuer_is_taken(issuer: Issuer, service: Service) -> None:
    answer = await service.get(issuer.a_token())
    assert (answer.status, answer.json()) == (200, {"account": "acc_ada"})


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
def test_a_socket_opens_for_a_good_token_and_is_closed_for_any_other(issuer: Issuer, framework: str) -> None:
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    app: Any
    if framework == "fastapi":
        verifier: Any = FastApiVerifier(
            issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True
        )
        app = FastAPI()
        verifier.install(app)
        app.websocket("/one", dependencies=[Depends(verifier.principal)])(greet)
        app.websocket("/two", dependencies=[Depends(verifier.requires())])(greet)
    else:
        verifier = StarletteVerifier(
            issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True
        )
        routes = [WebSocketRoute(path, verifier.requires()(greet)) for path in ("/one", "/two")]
        app = Starlette(routes=routes, middleware=[verifier.middleware], lifespan=verifier.lifespan)
    with TestClient(app) as client:
        for path in ("/one", "/two"):
            headers = {"authorization": f"Bearer {issuer.a_token()}"}
            with client.websocket_connect(path, headers=headers) as socket:
                assert socket.receive_text() == "hello"
            with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(path):
                pass
            assert refused.value.code == SESSION_OVER


@pytest.mark.rfc("9110", "12.5.5")
async def test_what_depends_on_the_token_varies_by_it_and_so_does_a_refusal(issuer: Issuer, service: Service) -> None:
    for token in (issuer.a_token(), None, "garbage"):
        assert (await service.get(token)).values("vary") == ["Cookie, Authorization"]


@pytest.mark.rfc("6750", "3.1")
async def test_without_a_token_the_challenge_names_no_error(service: Service) -> None:
    answer = await service.get(None)
    assert answer.status == 401
    assert answer.header("www-authenticate") == "Bearer"


@pytest.mark.rfc("6750", "3.1")
async def test_a_refused_token_is_answered_by_401_and_its_challenge(issuer: Issuer, service: Service) -> None:
    for token in ("garbage", issuer.a_token(aud="elsewhere"), issuer.a_token(exp=1)):
        answer = await service.get(token)
        assert answer.status == 401
        assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'
        assert answer.json()["code"] == "invalid_token"


async def test_a_session_that_has_ended_is_refused(issuer: Issuer, service: Service) -> None:
    token = issuer.a_token(**WRITES)
    assert (await service.post(token)).json() == {"paid_by": "acc_ada"}
    issuer.revoke(name="ses_2")
    eventually(lambda: service.verifier.state.live_revocations == 1)
    assert (await service.get(token)).status == (await service.post(token)).status == 401


@pytest.mark.rfc("6750", "3.1")
async def test_a_token_of_too_little_scope_is_answered_by_403_and_what_it_lacks(
    issuer: Issuer, service: Service
) -> None:
    answer = await service.post(issuer.a_token())
    assert answer.status == 403
    assert answer.header("www-authenticate") == 'Bearer error="insufficient_scope", scope="payments:write"'


async def test_stale_knowledge_is_no_fault_of_the_caller_where_the_route_must_not_act_on_it(
    issuer: Issuer, service: Service
) -> None:
    token = issuer.a_token(**WRITES)
    issuer.answers = dict.fromkeys(issuer.answers, lambda handler: handler.send(503))
    issuer.cut_streams()
    service.ticks.moved = 30
    answer = await service.post(token)
    assert answer.status == 503
    assert int(answer.header("retry-after") or 0) >= 1
    assert not answer.header("www-authenticate")
    assert (await service.get(token)).status == 200


async def test_two_tokens_at_once_are_refused(issuer: Issuer, service: Service) -> None:
    both = f"Bearer {issuer.a_token()}, Bearer {issuer.a_token()}"
    answer = await service.client.get("/payments", headers={"Authorization": both})
    assert answer.status == 401


@pytest.mark.parametrize("kind", [FastApiVerifier, FlaskVerifier, LitestarVerifier, StarletteVerifier])
def test_an_unknown_demand_is_refused_where_the_route_is_declared(issuer: Issuer, kind: type[AnyVerifier]) -> None:
    verifier = kind(issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True)
    with pytest.raises(ValueError, match="revocation"):
        verifier.requires(revocation="imediate")  # type: ignore[arg-type]


async def test_roles_are_needed_all_of_them(issuer: Issuer) -> None:
    verifier = FastApiVerifier(issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True)
    app = FastAPI()
    verifier.install(app)

    @app.get("/both", dependencies=[Depends(verifier.requires(roles={"editor", "admin"}))])
    async def both() -> str:
        return "both"

    client = CookieClient(app)
    with verifier:
        assert (await client.get("/both", bearer=issuer.a_token(roles=("editor",)))).status == 403
        assert (await client.get("/both", bearer=issuer.a_token(roles=("editor", "admin")))).status == 200


@pytest.mark.rfc("9470", "3")
@pytest.mark.parametrize("framework", ["fastapi", "litestar", "starlette"])
async def test_a_route_may_want_a_recent_proof_of_who_it_is(issuer: Issuer, framework: str) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    fields: dict[str, Any] = {"issuer": issuer.address, "audience": "payments", "credential": CREDENTIAL}
    app: Any
    verifier: Verifier
    if framework == "fastapi":
        verifier = fastapi = FastApiVerifier(**fields, insecure_http=True)
        app = api = FastAPI()
        fastapi.install(api)

        @api.get("/secret", dependencies=[Depends(fastapi.requires(fresh=timedelta(minutes=5)))])
        async def secret() -> str:
            return "secret"
    elif framework == "litestar":
        verifier = litestar = LitestarVerifier(**fields, insecure_http=True)

        @get("/secret", guards=[litestar.requires(fresh=timedelta(minutes=5))])
        async def handler() -> str:
            return "secret"

        app = Litestar([handler], plugins=[litestar.plugin])
    else:
        verifier = starlette = StarletteVerifier(**fields, insecure_http=True)

        @starlette.requires(fresh=timedelta(minutes=5))
        async def endpoint(request: Request) -> PlainTextResponse:
            return PlainTextResponse("secret")

        app = Starlette(routes=[Route("/secret", endpoint)])
    client, now = CookieClient(app), int(time.time())
    with verifier:
        assert (await client.get("/secret", bearer=issuer.a_token(auth_time=now - 200))).status == 200
        answer = await client.get("/secret", bearer=issuer.a_token(auth_time=now - 302))
        assert (answer.status, answer.json()["code"]) == (401, "insufficient_user_authentication")
        assert answer.header("www-authenticate") == 'Bearer error="insufficient_user_authentication", max_age="300"'


async def test_in_flask_it_starts_with_the_first_request_and_a_recent_proof_may_be_wanted(issuer: Issuer) -> None:
    from flask import Flask

    verifier = FlaskVerifier(issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True)
    app = Flask("service")
    verifier.init_app(app)

    @app.get("/secret")
    @verifier.requires(fresh=timedelta(minutes=5))
    def secret() -> str:
        return "secret"

    client, now = FlaskClient(app), int(time.time())
    try:
        assert verifier.state.state == "cold"
        assert (await client.get("/secret", bearer=issuer.a_token(auth_time=now - 200))).status == 200
        assert verifier.state.state == "fresh"
        answer = await client.get("/secret", bearer=issuer.a_token(auth_time=now - 302))
        assert (answer.status, answer.json()["max_age"]) == (401, 300)
    finally:
        await asyncio.to_thread(verifier.close)


async def test_a_synchronous_endpoint_may_be_guarded_too(issuer: Issuer) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    verifier = StarletteVerifier(issuer=issuer.address, audience="payments", credential=CREDENTIAL, insecure_http=True)

    @verifier.requires()
    def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.scope["doorward.principal"].subject)

    client = CookieClient(Starlette(routes=[Route("/me", me)]))
    with verifier:
        assert (await client.get("/me", bearer=issuer.a_token())).status == 200
        assert (await client.get("/me")).status == 401


Told = list[tuple[Any, Any]]


def an_app_that_tells(told: Told) -> Callable[..., Awaitable[None]]:
    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        told.append((scope.get("doorward.principal"), scope.get("doorward.refusal")))

    return app


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_middleware_tells_who_it_is_or_why_nobody(issuer: Issuer, a_verifier: Verifiers, kind: str) -> None:
    told: Told = []
    app = VerifierMiddleware(an_app_that_tells(told), a_verifier())

    async def call(*headers: tuple[bytes, bytes]) -> tuple[Any, Any]:
        await app({"type": kind, "headers": list(headers)}, None, None)  # type: ignore[arg-type]
        return told[-1]

    principal, refusal = await call((b"authorization", f"Bearer {issuer.a_token()}".encode()))
    assert principal.subject == "acc_ada"
    assert refusal is None
    for headers, code in (((), "not_authenticated"), (((b"authorization", b"Bearer x"),), "invalid_token")):
        principal, refusal = await call(*headers)
        assert principal is None
        assert refusal.code == code


async def test_the_middleware_leaves_alone_what_is_no_request(a_verifier: Verifiers) -> None:
    told: Told = []
    await VerifierMiddleware(an_app_that_tells(told), a_verifier())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert told == [(None, None)]


@pytest.mark.parametrize("framework", ["fastapi", "litestar", "starlette"])
async def test_the_verifier_starts_and_closes_with_the_application(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    monkeypatch.setenv("ISSUER", issuer.address)
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", CREDENTIAL)
    service = Service(framework)
    app = service.app
    async with app.lifespan() if isinstance(app, Litestar) else app.router.lifespan_context(app):
        assert service.verifier.state.state == "fresh"
    assert service.verifier.state.state == "cold"


@pytest.mark.parametrize("framework", ["fastapi", "litestar"])
def test_the_document_of_a_service_says_how_to_authenticate(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    monkeypatch.setenv("ISSUER", issuer.address)
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", CREDENTIAL)
    app = Service(framework).app
    document = app.openapi_schema.to_schema() if framework == "litestar" else app.openapi()
    for method in ("get", "post"):
        assert document["paths"]["/payments"][method]["security"] == [{"doorward": []}]
    scheme = document["components"]["securitySchemes"]["doorward"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
