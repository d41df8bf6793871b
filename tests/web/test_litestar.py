"""What Litestar's handlers are given, and what its document says; the rest is what every framework does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from doorward import Principal
from doorward.testing import CookieClient
from doorward.web.litestar import Doorward
from doorward.web.verifier.litestar import Verifier
from tests.verifier.issuer import CREDENTIAL, an_issuer

pytestmark = pytest.mark.anyio

PERSON = {"email": "ada@example.com", "password": "a walrus in seven teapots"}


@get("/whoever")
async def whoever(request: Request[Any, Any, Any]) -> dict[str, bool]:
    return {"known": request.user is not None}


@get("/perhaps")
async def perhaps(optional_principal: NamedDependency[Principal | None]) -> dict[str, bool]:
    return {"known": optional_principal is not None}


@pytest.fixture(params=["application", "service"])
async def client_and_token(request: pytest.FixtureRequest) -> AsyncIterator[tuple[CookieClient, str]]:
    """Of an application with accounts of its own, and of a service that verifies."""
    app: Any
    if request.param == "application":
        auth = Doorward(
            "memory:", secret="the secret of a deployment in tests", strategy="jwt", insecure_fast_hashing=True
        )
        app = Litestar([whoever, perhaps], plugins=[auth.mount("/auth")], middleware=[auth.middleware])
        async with app.lifespan():
            client = CookieClient(app)
            assert (await client.post("/auth/v1/accounts", json=PERSON)).status == 201
            yield client, (await client.post("/auth/v1/sessions", json=PERSON)).json()["access_token"]
    else:
        with an_issuer() as issuer:
            address: Any = {"issuer": issuer.address, "insecure_http": True}
            verifier = Verifier(audience="payments", credential=CREDENTIAL, **address)
            app = Litestar([whoever, perhaps], plugins=[verifier.plugin], middleware=[verifier.middleware])
            async with app.lifespan():
                yield CookieClient(app), issuer.a_token()


async def test_where_nobody_is_needed_whoever_is_refused_is_nobody(
    client_and_token: tuple[CookieClient, str],
) -> None:
    client, token = client_and_token
    for path in ("/whoever", "/perhaps"):
        for bearer, known in ((token, True), (None, False), ("garbage", False)):
            assert (await client.get(path, bearer=bearer)).json() == {"known": known}


def test_the_document_says_where_nobody_is_needed_and_keeps_what_it_says_otherwise() -> None:
    auth = Doorward("memory:", secret="the secret of a deployment in tests")

    async def name_of(principal: NamedDependency[Principal]) -> str:
        return principal.subject

    @get("/behind", dependencies={"name": Provide(name_of)}, security=[{"another": []}])
    async def behind(name: NamedDependency[str]) -> None: ...

    theirs = Components(security_schemes={"another": SecurityScheme(type="http", scheme="basic")})
    config = OpenAPIConfig("an application", "1", components=theirs)
    app = Litestar([whoever, perhaps, behind], plugins=[auth.mount("/auth")], openapi_config=config)
    document = app.openapi_schema.to_schema()
    assert {path: each["get"].get("security") for path, each in document["paths"].items()} == {
        "/whoever": None,
        "/perhaps": [{}, {"doorward": []}],
        "/behind": [{"another": []}, {"doorward": []}],
    }
    assert document["components"]["securitySchemes"].keys() == {"another", "doorward"}


async def test_a_guard_closes_a_websocket_by_the_code_that_says_why() -> None:
    auth = Doorward("memory:", secret="the secret of a deployment in tests")
    sent: list[Any] = []

    @websocket("/live", guards=[auth.requires()])
    async def live(socket: WebSocket[Any, Any, Any]) -> None: ...

    async def send(message: Any) -> None:
        sent.append(message)

    app = Litestar([live], plugins=[auth.mount("/auth")])
    scope: Any = {"type": "websocket", "path": "/live", "root_path": "", "query_string": b"", "headers": []}
    async with app.lifespan():
        await app(scope, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": "not_authenticated"}]
