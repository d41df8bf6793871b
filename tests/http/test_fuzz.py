"""Whatever arrives, the answer is one of ours and never a 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.http.api import Api
from doorward.http.message import Request
from doorward.http.operations import TABLE
from tests.http.world import ADMIN_KEY, World, a_world

NAMES = ["email", "password", "name", "carrier", "label", "roles", "disabled", "grant_type", "refresh_token", "token"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=6,
)


class Deployment:
    """A world that outlives the examples, on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.opening = a_world(cors_origins=("https://app.example.com",))
        self.world: World = self.loop.run_until_complete(self.opening.__aenter__())
        self.loop.run_until_complete(self.world.sign_up())
        _, body = self.loop.run_until_complete(self.world.signed_in())
        self.token: str = body["access_token"]
        self.account: str = body["account"]["id"]
        self.api = Api(self.world.auth)

    def answer(self, **fields: Any) -> int:
        response = self.loop.run_until_complete(self.api.answer(Request(**fields)))
        assert response.status < 500, (response.status, response.body)
        assert response.values("x-content-type-options") == ["nosniff"]
        return response.status

    def close(self) -> None:
        self.loop.run_until_complete(self.opening.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    made = Deployment()
    yield made
    made.close()


def paths(account: str) -> list[str]:
    return sorted({operation.path.replace("{id}", account).replace("{sid}", "b" * 16) for operation in TABLE})


METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)


@settings(max_examples=300)
@given(data=st.data())
def test_any_json_to_any_operation(deployment: Deployment, data: st.DataObject) -> None:
    import json

    body = json.dumps(data.draw(st.dictionaries(st.sampled_from(NAMES), VALUES) | VALUES)).encode()
    bearer = data.draw(st.sampled_from([deployment.token, ADMIN_KEY]))
    deployment.answer(
        method=data.draw(METHODS),
        path=data.draw(st.sampled_from(paths(deployment.account))),
        headers={"content-type": "application/json", "authorization": f"Bearer {bearer}"},
        body=body,
    )


@settings(max_examples=300)
@given(data=st.data())
def test_any_bytes_in_any_place(deployment: Deployment, data: st.DataObject) -> None:
    names = ["authorization", "cookie", "origin", "sec-fetch-site", "host", "x-csrf-token", "user-agent"]
    names += ["content-length", "idempotency-key", "content-type", "access-control-request-method"]
    values = LATIN | st.sampled_from(
        [
            "Bearer x",
            "doorward_session=x; doorward_refresh=y",
            f"Bearer {deployment.token}",
            "application/json",
            "application/x-www-form-urlencoded",
            "null",
            "[",
            "https://app.example.com",
        ]
    )
    deployment.answer(
        method=data.draw(METHODS | st.text(max_size=8)),
        path=data.draw(st.sampled_from(paths("\u0000")) | st.text(max_size=40).map("/".__add__)),
        query=data.draw(LATIN | st.lists(LATIN, max_size=3).map(lambda parts: "limit=1&" + "=".join(parts))),
        headers=data.draw(st.dictionaries(st.sampled_from(names), values)),
        body=data.draw(st.binary(max_size=200)),
        client=data.draw(st.none() | st.text(max_size=20)),
        scheme=data.draw(st.sampled_from(["http", "https"])),
    )


@settings(max_examples=150)
@given(
    form=st.lists(
        st.tuples(st.sampled_from([*NAMES, "client_id"]) | st.text(max_size=5), st.text(max_size=60)), max_size=5
    )
)
def test_any_form_to_the_oauth_endpoints(deployment: Deployment, form: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    body = urlencode([("grant_type", "refresh_token"), *form]).encode()
    for path in ("/v1/token", "/v1/revoke", "/v1/introspect"):
        deployment.answer(
            method="POST",
            path=path,
            headers={"content-type": "application/x-www-form-urlencoded", "authorization": f"Bearer {ADMIN_KEY}"},
            body=body,
        )
