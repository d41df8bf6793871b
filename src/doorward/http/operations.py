"""The table: every operation that there is.  The routes and the OpenAPI document are made from it and nothing else."""

from __future__ import annotations

from functools import cache

from doorward.doorward import Doorward
from doorward.http import accounts, admin, check, discovery, feed, sessions, tokens
from doorward.http.message import JSON_TYPE, Response, json_body
from doorward.http.openapi import make_document
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation


async def read_openapi(auth: Doorward, call: Call[None, None, None]) -> Response:  # noqa: ARG001 -- a handler's signature
    return Response(status=200, headers=(JSON_TYPE,), body=_document(auth.options.issuer, auth.options.cookie_prefix))


@cache
def _document(server: str, cookie_prefix: str) -> bytes:
    return json_body(make_document(TABLE, server=server, cookie_prefix=cookie_prefix))


TABLE: tuple[AnyOperation, ...] = (
    *discovery.OPERATIONS,
    Operation(
        id="read_openapi",
        method="GET",
        path="/openapi.json",
        tag="Operations",
        summary="This document",
        access=Access.ANYBODY,
        handler=read_openapi,
        public=True,
        answers={200: Answer(description="OpenAPI 3.1.", shape=dict)},
    ),
    *accounts.OPERATIONS,
    *sessions.OPERATIONS,
    *tokens.OPERATIONS,
    *check.OPERATIONS,
    *feed.OPERATIONS,
    *admin.OPERATIONS,
)
