"""What clients find out before they call, and what operators watch."""

from __future__ import annotations

import logging

from msgspec import UNSET

from doorward.doorward import Doorward
from doorward.errors import NotFound, Unavailable
from doorward.http.message import Response, json_answer
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.problems import problem_of
from doorward.http.shapes import Health, KeySet, Metadata

_log = logging.getLogger(__name__)

_CACHED = {"Cache-Control": "public, with max-age"}


async def read_metadata(auth: Doorward, call: Call[None, None, None]) -> Response:  # noqa: ARG001 -- a handler's signature
    options = auth.options
    root = options.issuer.rstrip("/")
    scopes = {scope for granted in options.role_scopes.values() for scope in granted}
    return json_answer(
        Metadata(
            issuer=options.issuer,
            jwks_uri=f"{root}/.well-known/jwks.json",
            token_endpoint=f"{root}/v1/token",
            revocation_endpoint=f"{root}/v1/revoke",
            introspection_endpoint=f"{root}/v1/introspect",
            grant_types_supported=("refresh_token",),
            response_types_supported=(),
            subject_types_supported=("public",),
            id_token_signing_alg_values_supported=(str(options.signing_algorithm),),
            token_endpoint_auth_methods_supported=("none",),
            revocation_endpoint_auth_methods_supported=("none",),
            # RFC 8414 section 2 takes the names of access token types here.
            introspection_endpoint_auth_methods_supported=("client_secret_basic", "Bearer"),
            # RFC 8414 section 3.2: what has no elements is left out.
            scopes_supported=tuple(sorted(scopes)) if scopes else UNSET,
        )
    )


async def read_keys(auth: Doorward, call: Call[None, None, None]) -> Response:  # noqa: ARG001 -- a handler's signature
    return json_answer(await auth.key_set())


async def read_health(auth: Doorward, call: Call[None, None, None]) -> Response:  # noqa: ARG001 -- a handler's signature
    return json_answer(Health(status="ok"))


async def read_readiness(auth: Doorward, call: Call[None, None, None]) -> Response:
    try:
        await auth.ping()
    except Unavailable as error:
        dependency = error.dependency or "database"
        _log.warning("not ready, the %s: %s", dependency, error.detail)
        return problem_of(error, call.request, dependency=dependency)
    return json_answer(Health(status="ok"))


async def read_metrics(auth: Doorward, call: Call[None, None, None]) -> Response:  # noqa: ARG001 -- a handler's signature
    if call.metrics is None:
        raise NotFound
    return Response(status=200, headers=(("content-type", _METRICS_TYPE),), body=call.metrics())


_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="read_oidc_metadata",
        method="GET",
        path="/.well-known/openid-configuration",
        tag="Discovery",
        summary="Metadata (OpenID Connect Discovery)",
        access=Access.ANYBODY,
        handler=read_metadata,
        public=True,
        answers={200: Answer(description="The metadata.", shape=Metadata, headers=_CACHED)},
    ),
    Operation(
        id="read_oauth_metadata",
        method="GET",
        path="/.well-known/oauth-authorization-server",
        tag="Discovery",
        summary="Metadata (RFC 8414)",
        access=Access.ANYBODY,
        handler=read_metadata,
        public=True,
        answers={200: Answer(description="The metadata.", shape=Metadata, headers=_CACHED)},
    ),
    Operation(
        id="read_keys",
        method="GET",
        path="/.well-known/jwks.json",
        tag="Discovery",
        summary="The public keys (RFC 7517)",
        access=Access.ANYBODY,
        handler=read_keys,
        public=True,
        answers={200: Answer(description="Current, next and recently retired keys.", shape=KeySet, headers=_CACHED)},
    ),
    Operation(
        id="read_health",
        method="GET",
        path="/healthz",
        tag="Operations",
        summary="Whether the process serves",
        access=Access.ANYBODY,
        handler=read_health,
        needs_store=False,
        answers={200: Answer(description="It does.", shape=Health)},
    ),
    Operation(
        id="read_readiness",
        method="GET",
        path="/readyz",
        tag="Operations",
        summary="Whether requests can be answered; names the dependency that is down",
        access=Access.ANYBODY,
        handler=read_readiness,
        answers={200: Answer(description="They can.", shape=Health)},
    ),
    Operation(
        id="read_metrics",
        method="GET",
        path="/metrics",
        tag="Operations",
        summary="Metrics for Prometheus",
        access=Access.ANYBODY,
        handler=read_metrics,
        answers={200: Answer(description="Prometheus' text.", shape=str, media_type="text/plain")},
        refuses=(NotFound,),
    ),
)
