"""The OAuth endpoints: refreshing (RFC 6749 section 6), revoking (RFC 7009), introspecting (RFC 7662); status lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from msgspec import UNSET

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import ConflictingCredentials, CsrfFailed, InvalidGrant, NotFound, RateLimited, Unavailable
from doorward.http.bodies import read_form
from doorward.http.caller import check_csrf, the_cookie
from doorward.http.cookies import cookies_of
from doorward.http.errors import InvalidClient, InvalidRequest, UnsupportedGrantType
from doorward.http.message import NO_CONTENT, Request, Response, json_answer, whole_seconds
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import Introspection, RefreshForm, TokenAnswer, TokenForm
from doorward.options import FIRST_PARTY
from doorward.secret import Secret
from doorward.sessions.model import Refreshed
from doorward.tokens.status_list import CONTENT_TYPE
from doorward.wire.cookies import REFRESH_COOKIE

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Presented:
    """The refresh token of a request, and whether its cookie brought it."""

    token: Secret
    by_cookie: bool


async def refresh(auth: Doorward, call: Call[None, None, None]) -> Response:
    form = read_form(call.request)
    if "grant_type" not in form:
        raise InvalidRequest("grant_type is missing")
    if form["grant_type"] != "refresh_token":
        raise UnsupportedGrantType
    idempotency_key = _idempotency_key(call.request)
    presented = await _presented(auth, call.request, form.get("refresh_token"))
    if presented is None:
        if form.get("optional") == "true":
            # A page asks this for each visitor, and browsers log every 400 as an error.
            return NO_CONTENT
        raise InvalidRequest("there is no refresh token")
    if call.request.has_left is not None and await call.request.has_left():
        # Nobody would keep the answer; and where this server was stopped meanwhile, the client has gone on elsewhere.
        raise Unavailable(detail="the client closed its connection before its refresh token was presented")
    refreshed = await auth.refresh(
        presented.token,
        client=form.get("client_id", FIRST_PARTY),
        idempotency_key=idempotency_key,
        origin=call.origin,
    )
    # No cookie where the token stays: if this answer is overtaken by a newer one, it would put an older token back.
    keeps = presented.by_cookie and not refreshed.unchanged
    cookies = cookies_of(auth, call.request, refreshed.session, refreshed.credentials) if keeps else ()
    return json_answer(_token_answer(auth, refreshed, by_cookie=presented.by_cookie), headers=cookies)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise InvalidRequest("the Idempotency-Key is not of 1 to 255 visible ASCII characters")
    return key


async def _presented(auth: Doorward, request: Request, in_body: str | None) -> _Presented | None:
    """The refresh token that is meant, or None where there is none.

    The answer goes back the way the token came.  So a page cannot have a cookie set by posting a token of its own
    (login CSRF), nor read the cookie's token by asking for it in the body.

    Raises:
        InvalidRequest: body and cookie name different sessions.
        CsrfFailed: the cookie's, and a foreign page may have sent it.
    """
    try:
        in_cookie = the_cookie(auth, request, REFRESH_COOKIE)
    except ConflictingCredentials:
        raise InvalidRequest("several refresh cookies") from None
    if in_body is not None:
        if in_cookie is not None:
            await _refuse_another_session(auth, Secret(in_body), in_cookie)
        return _Presented(token=Secret(in_body), by_cookie=False)
    if in_cookie is None:
        return None
    session_id = await auth.session_of_refresh_token(in_cookie)
    # A cookie that is nobody's has no CSRF token either: it is checked all the same, and then refused as it is.
    if session_id is not None:
        check_csrf(auth, request, token_of=session_id)
    return _Presented(token=in_cookie, by_cookie=True)


async def _refuse_another_session(auth: Doorward, in_body: Secret, in_cookie: Secret) -> None:
    meant, beside = await auth.session_of_refresh_token(in_body), await auth.session_of_refresh_token(in_cookie)
    if meant is not None and beside is not None and meant != beside:
        raise InvalidRequest("body and cookie hold refresh tokens of different sessions")


def _token_answer(auth: Doorward, refreshed: Refreshed, *, by_cookie: bool) -> TokenAnswer:
    credentials = refreshed.credentials
    access, refresh_token = credentials.access_token, credentials.refresh_token
    if access is None or refresh_token is None:
        raise TypeError("a session that is refreshed has an access token and a refresh token")
    return TokenAnswer(
        access_token=access.text.reveal(),
        token_type="Bearer",  # noqa: S106 -- the name of a type
        expires_in=whole_seconds(access.expires_in),
        refresh_token_expires_in=whole_seconds(credentials.refresh_expires_in or timedelta(0)),
        scope=" ".join(auth.options.scopes_of(refreshed.account.roles)),
        refresh_token=UNSET if by_cookie else refresh_token.reveal(),
    )


async def revoke(auth: Doorward, call: Call[None, None, None]) -> Response:
    form = read_form(call.request)
    await auth.revoke(_token_of(form.get("token")), client=form.get("client_id", FIRST_PARTY), origin=call.origin)
    # RFC 7009 section 2.2: the same for a token that is nobody's.
    return Response(status=200)


async def introspect(auth: Doorward, call: Call[Actor, None, None]) -> Response:
    form = read_form(call.request)
    return json_answer(await auth.introspect(_token_of(form.get("token"))))


async def read_status_list(auth: Doorward, call: Call[None, None, None]) -> Response:
    number = call.path["id"]
    # One spelling of each address: caches keep them apart.
    if _NUMBER.fullmatch(number) is None:
        raise NotFound
    text = await auth.status_list(int(number))
    seconds = whole_seconds(auth.options.max_staleness)
    headers = (("content-type", CONTENT_TYPE), ("cache-control", f"public, max-age={seconds}"))
    return Response(status=200, headers=headers, body=text.encode())


def _token_of(text: str | None) -> Secret:
    if text is None:
        raise InvalidRequest("token is missing")
    return Secret(text)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="refresh",
        method="POST",
        path="/v1/token",
        tag="Tokens",
        summary="Get a fresh access token for a refresh token",
        access=Access.REFRESHER,
        handler=refresh,
        form=RefreshForm,
        format="oauth",
        answers={
            200: Answer(
                description="Fresh tokens.",
                shape=TokenAnswer,
                headers={"Set-Cookie": "The refresh token, where its cookie brought it and it has changed."},
            ),
            204: Answer(description="There is no refresh token, where `optional` allows for that."),
        },
        refuses=(InvalidRequest, InvalidGrant, UnsupportedGrantType, CsrfFailed, RateLimited),
    ),
    Operation(
        id="revoke",
        method="POST",
        path="/v1/revoke",
        tag="Tokens",
        summary="End the session that an access or refresh token belongs to",
        access=Access.ANYBODY,
        handler=revoke,
        form=TokenForm,
        format="oauth",
        answers={200: Answer(description="It has ended, or there is none.")},
        refuses=(InvalidRequest,),
    ),
    Operation(
        id="introspect",
        method="POST",
        path="/v1/introspect",
        tag="Tokens",
        summary="Tell whether a token is good, and what it says",
        access=Access.INTROSPECTOR,
        handler=introspect,
        form=TokenForm,
        format="oauth",
        answers={200: Answer(description="What there is to say of it.", shape=Introspection)},
        refuses=(InvalidRequest, InvalidClient),
    ),
    Operation(
        id="read_status_list",
        method="GET",
        path="/v1/status/{id}",
        tag="Tokens",
        summary="Which sessions are over, a bit for each (Token Status List)",
        access=Access.ANYBODY,
        handler=read_status_list,
        public=True,
        answers={
            200: Answer(
                description="The list that tokens refer to, signed.",
                shape=str,
                media_type=CONTENT_TYPE,
                headers={"Cache-Control": "public, with max-age"},
            )
        },
        refuses=(NotFound,),
    ),
)
