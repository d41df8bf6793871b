"""schemathesis reads our OpenAPI document and looks for a 5xx, or an answer that the document does not tell of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.python import asgi

from doorward.doorward import Doorward
from doorward.http.openapi import make_document
from doorward.http.operations import TABLE
from doorward.options import Strategy
from doorward.secret import Secret
from doorward.web.asgi import DoorwardApp
from tests.http.world import ADMIN_KEY, ISSUER, PASSWORD

load_all_checks()

pytestmark = pytest.mark.slow

# A password that fits its schema may still be weak, and an address no address.
NOT_OURS: list[Any] = [CHECKS.get_one("positive_data_acceptance")]

EXAMPLES = settings(max_examples=8, suppress_health_check=list(HealthCheck), derandomize=True)


def an_app(strategy: Strategy) -> DoorwardApp:
    auth = Doorward(
        "memory:",
        secret="the secret of a deployment in tests",
        strategy=strategy,
        issuer=ISSUER,
        admin_key=Secret(ADMIN_KEY),
        rate_limits=False,
        insecure_fast_hashing=True,
    )
    return DoorwardApp(auth, metrics=lambda: b"# none\n")


def a_document(app: DoorwardApp) -> Any:
    document = schemathesis.openapi.from_dict(make_document(TABLE, server=ISSUER))
    document.app = app
    return document


HYBRID = a_document(an_app("hybrid"))
SESSION = a_document(an_app("session"))


@dataclass
class Target:
    """An application that serves, with one account."""

    client: requests.Session

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(ISSUER + path, json=body)
        assert answer.status_code == 201, answer.text
        self.client.cookies.clear()
        return answer

    def enable(self) -> None:
        """Undo what a change of the account may have done."""
        admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
        accounts = self.client.get(ISSUER + "/v1/admin/accounts?query=ada", headers=admin).json()["accounts"]
        for account in accounts:
            path = f"/v1/admin/accounts/{account['id']}"
            self.client.patch(ISSUER + path, json={"disabled": False}, headers=admin)

    def signed_in(self) -> Any:
        return self.post("/v1/sessions", {"email": "ada@example.com", "password": PASSWORD})


def a_target(document: Any) -> Iterator[Target]:
    with asgi.get_client(document.app) as client:
        target = Target(client=client)
        target.post("/v1/accounts", {"email": "ada@example.com", "password": PASSWORD})
        yield target
    asgi.shutdown_lifespans()


@pytest.fixture(scope="module")
def hybrid() -> Iterator[Target]:
    yield from a_target(HYBRID)


@pytest.fixture(scope="module")
def by_session() -> Iterator[Target]:
    yield from a_target(SESSION)


@HYBRID.parametrize()  # type: ignore[untyped-decorator]  # schemathesis leaves it open
@EXAMPLES
def test_without_a_credential(case: schemathesis.Case[Any], hybrid: Target) -> None:
    case.call_and_validate(base_url=ISSUER, excluded_checks=NOT_OURS)


@HYBRID.include(path_regex="^/v1/(sessions|password|introspect|admin/accounts$)").parametrize()  # type: ignore[untyped-decorator]  # schemathesis leaves it open
@EXAMPLES
def test_by_access_token(case: schemathesis.Case[Any], hybrid: Target) -> None:
    token = hybrid.signed_in().json()["access_token"]
    case.call_and_validate(base_url=ISSUER, headers={"Authorization": f"Bearer {token}"}, excluded_checks=NOT_OURS)


@HYBRID.include(path_regex="^/v1/(admin|introspect)").parametrize()  # type: ignore[untyped-decorator]  # schemathesis leaves it open
@EXAMPLES
def test_by_admin_key(case: schemathesis.Case[Any], hybrid: Target) -> None:
    hybrid.enable()
    signed_in = hybrid.signed_in().json()
    for name, value in (("id", signed_in["account"]["id"]), ("sid", signed_in["session"]["id"])):
        if name in case.path_parameters:
            case.path_parameters[name] = value
    case.call_and_validate(base_url=ISSUER, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, excluded_checks=NOT_OURS)


@SESSION.include(path_regex="^/v1/(sessions|password)").parametrize()  # type: ignore[untyped-decorator]  # schemathesis leaves it open
@EXAMPLES
def test_by_cookie(case: schemathesis.Case[Any], by_session: Target) -> None:
    cookie = by_session.signed_in().headers["set-cookie"].partition(";")[0]
    # An Authorization header of another scheme beside a good cookie is nothing that we would answer 401 to.
    excluded = [*NOT_OURS, CHECKS.get_one("ignored_auth")]
    case.call_and_validate(base_url=ISSUER, headers={"Cookie": cookie, "Origin": ISSUER}, excluded_checks=excluded)
