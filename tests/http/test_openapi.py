from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from doorward.http.message import json_body
from doorward.http.openapi import make_document
from doorward.http.operations import TABLE
from tests.http.world import World

DOCUMENT = make_document(TABLE)

CONTRACT = {
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/accounts"),
    ("PUT", "/v1/password"),
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions"),
    ("DELETE", "/v1/sessions"),
    ("GET", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions/{id}"),
    ("POST", "/v1/token"),
    ("POST", "/v1/revoke"),
    ("POST", "/v1/introspect"),
    ("GET", "/v1/status/{id}"),
    ("GET", "/v1/check"),
    ("GET", "/v1/revocations"),
    ("GET", "/v1/revocations/digest"),
    ("GET", "/v1/admin/accounts"),
    ("GET", "/v1/admin/accounts/{id}"),
    ("PATCH", "/v1/admin/accounts/{id}"),
    ("GET", "/v1/admin/accounts/{id}/sessions"),
    ("DELETE", "/v1/admin/accounts/{id}/sessions"),
    ("DELETE", "/v1/admin/accounts/{id}/sessions/{sid}"),
    ("GET", "/v1/admin/audit"),
}


def operations() -> list[tuple[str, str, Any]]:
    return [(path, method, what) for path, item in DOCUMENT["paths"].items() for method, what in item.items()]


def test_every_call_of_the_contract_is_there_and_nothing_else() -> None:
    assert {(method.upper(), path) for path, method, _ in operations()} == CONTRACT
    assert {(operation.method, operation.path) for operation in TABLE} == CONTRACT


def test_names_of_operations_are_unique() -> None:
    assert len({operation.id for operation in TABLE}) == len(TABLE)


def test_it_is_openapi_3_1_and_always_the_same() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert json_body(make_document(TABLE)) == json_body(make_document(TABLE))


def test_every_reference_leads_somewhere() -> None:
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert referred <= set(DOCUMENT["components"]["schemas"])
    named = {name for _, _, what in operations() for each in what["security"] for name in each}
    assert named == set(DOCUMENT["components"]["securitySchemes"])


def test_errors_are_documented_in_their_format() -> None:
    for path, _, what in operations():
        oauth = path in {"/v1/token", "/v1/revoke", "/v1/introspect"}
        for status, answer in what["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/json" if oauth else "application/problem+json"]
                schema = answer["content"][next(iter(answer["content"]))]["schema"]
                assert schema["allOf"][0]["$ref"].endswith("OAuthErrorJson" if oauth else "ProblemJson")
                assert schema["allOf"][1]["properties"]["code"]["enum"]


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/v1/accounts", "post", {"201", "400", "403", "404", "409", "413", "415", "422", "429", "503"}),
        ("/v1/sessions", "post", {"201", "400", "401", "403", "413", "415", "422", "429", "503"}),
        ("/v1/sessions/{id}", "delete", {"204", "400", "401", "403", "404", "413", "422", "503"}),
        ("/v1/token", "post", {"200", "204", "400", "403", "413", "429", "503"}),
        ("/v1/admin/audit", "get", {"200", "400", "401", "403", "413", "422", "429", "503"}),
    ],
)
def test_what_can_come_is_documented(path: str, method: str, statuses: set[str]) -> None:
    assert set(DOCUMENT["paths"][path][method]["responses"]) == statuses


def test_a_password_is_marked_as_one() -> None:
    for name in ("NewAccount", "NewSession"):
        assert DOCUMENT["components"]["schemas"][name]["properties"]["password"] == {
            "type": "string",
            "format": "password",
        }


def test_unknown_members_are_refused_by_the_schema_too() -> None:
    for name in ("NewAccount", "NewPassword", "NewSession", "AccountChangeJson"):
        assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


def test_the_prefix_of_cookies_is_explained() -> None:
    for server, name in (
        (None, "__Host-doorward_session"),
        ("https://auth.example.com", "__Host-doorward_session"),
        ("http://127.0.0.1:8000", "doorward_session"),
    ):
        scheme = make_document(TABLE, server=server)["components"]["securitySchemes"]["session_cookie"]
        assert (scheme["in"], scheme["name"]) == ("cookie", name)


@pytest.mark.anyio
async def test_it_is_served_with_the_address_of_the_deployment(world: World) -> None:
    answer = await world.client().get("/openapi.json")
    assert answer.json() == make_document(TABLE, server="http://127.0.0.1:8000")
    assert answer.json()["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert answer.json()["paths"] == DOCUMENT["paths"]


def test_no_file_of_this_layer_is_over_400_lines() -> None:
    import doorward.http

    for path in Path(doorward.http.__path__[0]).glob("*.py"):
        assert len(path.read_text().splitlines()) < 400, path.name


def test_the_page_in_the_docs_is_the_document() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
    assert json.loads(page.read_text()) == DOCUMENT, "make it again: python3 dev.py docs"
