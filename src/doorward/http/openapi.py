"""The OpenAPI 3.1 document, made from the table of operations and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from doorward.errors import (
    ConflictingCredentials,
    CsrfFailed,
    DoorwardError,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RateLimited,
    SessionEnded,
    Unavailable,
    ValidationFailed,
)
from doorward.http.csrf import SAFE_METHODS
from doorward.http.errors import BodyTooLarge, MalformedJson, UnsupportedMediaType
from doorward.http.operation import Access, Answer, AnyOperation
from doorward.http.problems import OAUTH_TYPE, PROBLEM_TYPE, oauth_error_of, status_of
from doorward.http.shapes import OAuthErrorJson, ProblemJson
from doorward.secret import Secret
from doorward.wire.cookies import DEFAULT_PREFIX, REFRESH_COOKIE, SESSION_COOKIE

_DESCRIPTION = """\
One session behind three strategies: an opaque cookie (`session`), a signed access token (`jwt`), or a short access
token with a refresh token that rotates (`hybrid`).

Times are RFC 3339 in UTC, durations whole seconds, identifiers opaque. An integer in a JSON body is written without a
fraction: `8.0` is refused. Unknown members and unknown query parameters are refused (422).

Calls other than GET by cookie, and signing in and up, are checked against forgery by foreign pages: by
`Sec-Fetch-Site`, else `Origin`, else `X-CSRF-Token`."""

_SECURITY: Mapping[Access, tuple[str, ...]] = {
    Access.ANYBODY: (),
    Access.VISITOR: (),
    # The refresh token may be in the body instead.
    Access.REFRESHER: (),
    Access.ACCOUNT: ("bearer", "session_cookie"),
    Access.OPTIONAL: ("bearer", "session_cookie"),
    Access.PROXIED: ("bearer", "session_cookie"),
    Access.LEAVER: ("bearer", "session_cookie", "refresh_cookie"),
    Access.ADMIN: ("admin_key", "bearer", "session_cookie"),
    Access.INTROSPECTOR: ("admin_key", "verifier", "verifier_basic", "bearer"),
    Access.VERIFIER: ("admin_key", "verifier"),
}

_AUTHENTICATED = frozenset({Access.ACCOUNT, Access.OPTIONAL, Access.LEAVER, Access.ADMIN})

_HEADER_SCHEMA: Mapping[str, Mapping[str, Any]] = {"Retry-After": {"type": "integer", "minimum": 1}}
_REQUEST_HEADERS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "refresh": (
        "Idempotency-Key",
        "Marks one attempt to refresh, whatever becomes of its replies.",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
    ),
    "check": (
        "X-Forwarded-Method",
        "The method of the request that the proxy asks about; without it, one that changes something.",
        {"type": "string"},
    ),
    "follow_revocations": ("Last-Event-ID", "Where to go on: the id of the last event that came.", {"type": "string"}),
    "read_revocation_digests": ("If-None-Match", "The ETag of the answer before.", {"type": "string"}),
}
"""By operation, the header that it reads beside those of its kind."""
_RESPONSE_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "RFC 6750: Bearer, with an error where a token was refused."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}


def make_document(
    table: Sequence[AnyOperation], *, server: str | None = None, cookie_prefix: str = DEFAULT_PREFIX
) -> dict[str, Any]:
    """The document.

    Args:
        table: the operations.
        server: the address of the deployment, or None where it is not known.
        cookie_prefix: of its cookies.
    """
    https = server is None or server.startswith("https://")
    schemas, components = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Doorward",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        **({"servers": [{"url": server.rstrip("/")}]} if server else {}),
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _security_schemes(cookie_prefix, https=https)},
    }


def _security_schemes(cookie_prefix: str, *, https: bool) -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."},
        "admin_key": {"type": "http", "scheme": "bearer", "description": "The deployment's admin key."},
        "verifier": {"type": "http", "scheme": "bearer", "description": "A verifier's credential."},
        "verifier_basic": {"type": "http", "scheme": "basic", "description": "A verifier's name and its credential."},
        "session_cookie": _cookie_scheme(SESSION_COOKIE.name_on(prefix=cookie_prefix, https=https), "The handle."),
        "refresh_cookie": _cookie_scheme(
            REFRESH_COOKIE.name_on(prefix=cookie_prefix, https=https), "The refresh token."
        ),
    }


def _cookie_scheme(name: str, what: str) -> dict[str, str]:
    description = f"{what} With __Host- before its name on HTTPS, without on plain HTTP."
    return {"type": "apiKey", "in": "cookie", "name": name, "description": description}


_Schemas = Mapping[Any, Mapping[str, Any]]


def _schemas(table: Sequence[AnyOperation]) -> tuple[_Schemas, dict[str, Any]]:
    """The schema of every shape in the table, and the components that they refer to."""
    shapes = dict.fromkeys(
        [ProblemJson, OAuthErrorJson, *(shape for operation in table for shape in _shapes(operation))]
    )
    found, components = msgspec.json.schema_components(
        list(shapes), schema_hook=_schema_of, ref_template="#/components/schemas/{name}"
    )
    return dict(zip(shapes, found, strict=True)), dict(sorted(components.items()))


def _shapes(operation: AnyOperation) -> Iterable[Any]:
    candidates = [operation.body, operation.form, *(answer.shape for answer in operation.answers.values())]
    return [shape for shape in candidates if shape is not None]


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "format": "password"}
    raise NotImplementedError(kind)


def _describe(operation: AnyOperation, schemas: _Schemas) -> dict[str, Any]:
    security = _SECURITY[operation.access]
    body = _request_body(operation, schemas)
    parameters = [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)]
    answers = {str(status): _success(answer, schemas) for status, answer in operation.answers.items()}
    return {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": dict(sorted((answers | _failures(operation)).items())),
        # An empty requirement: a credential is taken where there is one, and need not be there.
        "security": [*({scheme: []} for scheme in security), *([{}] if operation.access is Access.OPTIONAL else [])],
    }


def _request_body(operation: AnyOperation, schemas: _Schemas) -> dict[str, Any] | None:
    if operation.body is not None:
        return {"required": True, "content": {"application/json": {"schema": schemas[operation.body]}}}
    if operation.form is not None:
        content = {"application/x-www-form-urlencoded": {"schema": schemas[operation.form]}}
        return {"required": True, "content": content}
    return None


def _path_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]


def _query_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    _, components = msgspec.json.schema_components([operation.query], ref_template="#/components/schemas/{name}")
    properties = components[operation.query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _header_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    found = []
    if operation.id in _REQUEST_HEADERS:
        name, description, schema = _REQUEST_HEADERS[operation.id]
        found.append({"name": name, "in": "header", "description": description, "schema": schema})
    if operation.access in _AUTHENTICATED and operation.method not in SAFE_METHODS:
        found.append(
            {
                "name": "X-CSRF-Token",
                "in": "header",
                "description": "By cookie and without Sec-Fetch-Site and Origin: the csrf_token of signing in.",
                "schema": {"type": "string"},
            }
        )
    return found


def _success(answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    if answer.shape is not None:
        media_type = answer.media_type or "application/json"
        described["content"] = {media_type: {"schema": schemas[answer.shape]}}
    return described


def errors_of(operation: AnyOperation) -> list[type[DoorwardError]]:
    """Every error that an operation can be answered with: its own, and those that follow from its entry."""
    found: list[type[DoorwardError]] = [*operation.refuses, BodyTooLarge, Unavailable]
    if operation.body is not None:
        found += [MalformedJson, UnsupportedMediaType, ValidationFailed]
    if operation.takes_query:
        found.append(ValidationFailed)
    if "{" in operation.path:
        found.append(NotFound)
    if operation.access in _AUTHENTICATED:
        found += [NotAuthenticated, InvalidToken, SessionEnded, ConflictingCredentials]
        found += [CsrfFailed] if operation.method not in SAFE_METHODS else []
    if operation.access is Access.PROXIED:
        found += [NotAuthenticated, InvalidToken, SessionEnded, CsrfFailed]
    if operation.access is Access.VERIFIER:
        found += [NotAuthenticated, InvalidToken]
    if operation.access in {Access.ADMIN, Access.VERIFIER, Access.INTROSPECTOR}:
        found.append(RateLimited)
    if operation.access is Access.VISITOR:
        found.append(CsrfFailed)
    if operation.access is Access.ADMIN:
        found.append(NotPermitted)
    return list(dict.fromkeys(found))


def _failures(operation: AnyOperation) -> dict[str, Any]:
    by_status: dict[int, list[type[DoorwardError]]] = {}
    for error in errors_of(operation):
        by_status.setdefault(status_of(error), []).append(error)
    return {str(status): _failure(operation, status, errors) for status, errors in by_status.items()}


_OF_THE_SERVER = {DoorwardError.__module__, BodyTooLarge.__module__}


def _failure(operation: AnyOperation, status: int, errors: Sequence[type[DoorwardError]]) -> dict[str, Any]:
    oauth = operation.format == "oauth"
    shape, media_type = (OAuthErrorJson, OAUTH_TYPE) if oauth else (ProblemJson, PROBLEM_TYPE)
    # Unavailable stands for its kinds too: the server's own, whatever else the process has imported.
    kinds = {kind for error in errors for kind in (error, *error.__subclasses__())}
    codes = sorted({kind.code for kind in kinds if kind.__module__ in _OF_THE_SERVER})
    properties: dict[str, Any] = {"code": {"enum": codes}}
    if oauth:
        properties["error"] = {"enum": sorted({oauth_error_of(error) for error in errors})}
    schema = {"allOf": [{"$ref": f"#/components/schemas/{shape.__name__}"}, {"properties": properties}]}
    described: dict[str, Any] = {
        "description": " ".join(dict.fromkeys(error.public for error in errors)),
        "content": {media_type: {"schema": schema}},
    }
    headers = _RESPONSE_HEADERS.get(status)
    if headers:
        described["headers"] = {
            name: {"description": text, "required": True, "schema": _HEADER_SCHEMA.get(name, {"type": "string"})}
            for name, text in headers.items()
        }
    return described
