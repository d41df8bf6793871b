"""Sessions: signing in and out, seeing and ending one's own."""

from __future__ import annotations

from datetime import timedelta

from msgspec import UNSET

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials, NotAuthenticated, NotFound, RateLimited
from doorward.http.caller import Leaver, all_cookies
from doorward.http.cookies import clear_cookies, cookies_of
from doorward.http.message import NO_CONTENT, Response, json_answer, whole_seconds
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import (
    KeepQuery,
    NewSession,
    OptionalQuery,
    Revoked,
    SessionAnswer,
    SessionList,
    SignedInAnswer,
    account_json,
    session_json,
)
from doorward.principal import Principal
from doorward.sessions.model import SignedIn
from doorward.wire.identifiers import is_identifier


async def sign_in(auth: Doorward, call: Call[None, NewSession, None]) -> Response:
    signed_in = await auth.sign_in(
        email=call.body.email,
        password=call.body.password,
        carrier=call.body.carrier,
        label=call.body.label,
        remember=call.body.remember,
        origin=call.origin,
        # Whatever was in this browser before ends: somebody may have planted it (session fixation).
        sent_along=all_cookies(auth, call.request),
    )
    by_cookie = signed_in.session.carrier == "cookie"
    cookies = cookies_of(auth, call.request, signed_in.session, signed_in.credentials) if by_cookie else ()
    return json_answer(_signed_in_answer(auth, signed_in, by_cookie=by_cookie), status=201, headers=cookies)


def _signed_in_answer(auth: Doorward, signed_in: SignedIn, *, by_cookie: bool) -> SignedInAnswer:
    credentials = signed_in.credentials
    access, refresh = credentials.access_token, credentials.refresh_token
    # What a cookie carries is in the cookie alone: a script that was injected into the page must not read it.
    in_body = refresh.reveal() if refresh is not None and not by_cookie else UNSET
    return SignedInAnswer(
        account=account_json(signed_in.account),
        session=session_json(signed_in.session, current=signed_in.session.id, places=auth.places),
        access_token=access.text.reveal() if access is not None else UNSET,
        token_type="Bearer" if access is not None else UNSET,
        expires_in=whole_seconds(access.expires_in) if access is not None else UNSET,
        refresh_token=in_body,
        refresh_token_expires_in=(
            whole_seconds(credentials.refresh_expires_in or timedelta(0)) if refresh is not None else UNSET
        ),
        csrf_token=credentials.csrf_token if credentials.csrf_token is not None else UNSET,
    )


async def list_sessions(auth: Doorward, call: Call[Principal, None, None]) -> Response:
    sessions = await auth.own_sessions(call.caller)
    shown = tuple(session_json(session, current=call.caller.session_id, places=auth.places) for session in sessions)
    return json_answer(SessionList(sessions=shown))


async def read_current(auth: Doorward, call: Call[Principal | None, None, OptionalQuery]) -> Response:
    if call.caller is None:
        if call.query.optional:
            # A page asks this for each visitor, and browsers log every 401 as an error.
            return NO_CONTENT
        raise NotAuthenticated
    account, session = await auth.current(call.caller)
    shown = session_json(session, current=call.caller.session_id, places=auth.places)
    return json_answer(SessionAnswer(account=account_json(account), session=shown))


async def sign_out(auth: Doorward, call: Call[Leaver, None, None]) -> Response:
    leaver = call.caller
    actor = Actor(name=leaver.subject, origin=call.origin)
    try:
        await auth.end_session(leaver.session_id, account_id=leaver.subject, actor=actor)
    except NotFound:
        if leaver.refused is not None:
            # The refresh cookie is of a session that is over as well: say why the credential was refused.
            raise leaver.refused from None
        # It ended between the check and now: what was asked for is so.
    return NO_CONTENT.with_headers(clear_cookies(auth, call.request))


async def end_session(auth: Doorward, call: Call[Principal, None, None]) -> Response:
    session_id = call.path["id"]
    if not is_identifier(session_id):
        raise NotFound
    actor = Actor(name=call.caller.subject, origin=call.origin)
    await auth.end_session(session_id, account_id=call.caller.subject, actor=actor)
    cookies = clear_cookies(auth, call.request) if session_id == call.caller.session_id else ()
    return NO_CONTENT.with_headers(cookies)


async def end_sessions(auth: Doorward, call: Call[Principal, None, KeepQuery]) -> Response:
    keep = call.caller.session_id if call.query.keep == "current" else None
    actor = Actor(name=call.caller.subject, origin=call.origin)
    revoked = await auth.end_sessions(call.caller.subject, keep=keep, actor=actor)
    cookies = clear_cookies(auth, call.request) if keep is None else ()
    return json_answer(Revoked(revoked=revoked), headers=cookies)


_CLEARED = {"Set-Cookie": "Both cookies, cleared."}

OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="sign_in",
        method="POST",
        path="/v1/sessions",
        tag="Sessions",
        summary="Sign in",
        access=Access.VISITOR,
        handler=sign_in,
        body=NewSession,
        answers={
            201: Answer(
                description="The session has started.",
                shape=SignedInAnswer,
                headers={"Set-Cookie": "Where a cookie carries the session: its handle, or its refresh token."},
            )
        },
        refuses=(InvalidCredentials, RateLimited),
    ),
    Operation(
        id="list_sessions",
        method="GET",
        path="/v1/sessions",
        tag="Sessions",
        summary="List the caller's sessions",
        access=Access.ACCOUNT,
        handler=list_sessions,
        answers={200: Answer(description="Those that stand, the newest first.", shape=SessionList)},
    ),
    Operation(
        id="end_sessions",
        method="DELETE",
        path="/v1/sessions",
        tag="Sessions",
        summary="End all of the caller's sessions",
        access=Access.ACCOUNT,
        handler=end_sessions,
        query=KeepQuery,
        answers={200: Answer(description="How many were ended.", shape=Revoked, headers=_CLEARED)},
    ),
    Operation(
        id="read_current_session",
        method="GET",
        path="/v1/sessions/current",
        tag="Sessions",
        summary="Who am I",
        access=Access.OPTIONAL,
        handler=read_current,
        query=OptionalQuery,
        answers={
            200: Answer(description="The account and the session.", shape=SessionAnswer),
            204: Answer(description="Nobody is signed in, where `optional` allows for that."),
        },
    ),
    Operation(
        id="sign_out",
        method="DELETE",
        path="/v1/sessions/current",
        tag="Sessions",
        summary="Sign out",
        access=Access.LEAVER,
        handler=sign_out,
        answers={204: Answer(description="The session has ended.", headers=_CLEARED)},
    ),
    Operation(
        id="end_session",
        method="DELETE",
        path="/v1/sessions/{id}",
        tag="Sessions",
        summary="End one of the caller's sessions",
        access=Access.ACCOUNT,
        handler=end_session,
        answers={204: Answer(description="It has ended.")},
    ),
)
