"""Signing up, in and out, and changing the password."""

from __future__ import annotations

from dataclasses import replace

from doorward.audit.model import Actor
from doorward.errors import DoorwardError, InvalidCredentials, Refusal
from doorward.http import accounts as api_accounts
from doorward.http import sessions as api_sessions
from doorward.http.caller import all_cookies
from doorward.http.message import Response
from doorward.http.operation import Call
from doorward.http.shapes import NewPassword, account_json
from doorward.pages.mistakes import Mistakes, require, with_missing
from doorward.pages.visit import Visit
from doorward.pages.who import (
    SIGNED_OUT,
    authenticate,
    authenticate_leaving,
    carrier_of,
    forget,
    may_remember,
    page_token,
    remember,
)
from doorward.sessions.model import EndReason

_OVER = {reason.value: f"over_{reason.value}" for reason in EndReason}
"""What the page for signing in says of a session that has ended, by the reason."""
NOTICES = frozenset({"signed_out", "signed_up", "session_over", *_OVER.values()})
"""What the page for signing in can be asked to say: these and nothing else, whatever a link has in it."""


_FIELDS = frozenset({"email", "password", "name"})
_OWN = "fields."


def notice_of(error: Refusal) -> str:
    """The notice that says why somebody has to sign in again, where that is known."""
    return _OVER.get(getattr(error, "reason", None) or "", "session_over")


# Signing in


async def show_sign_in(visit: Visit) -> Response:
    try:
        principal = await authenticate(visit)
    except SIGNED_OUT:
        return _sign_in_form(visit)
    # No redirect by itself: where the application thinks otherwise, the two would send each other round in circles.
    account = account_json(await visit.auth.account(principal.subject))
    return visit.show("signed_in.html", session_id=principal.session_id, account=account)


async def sign_in(visit: Visit) -> Response:
    try:
        visit.check_form()
        if not visit.keeps_cookies:
            return _sign_in_form(visit, visit.no_cookie())
        require(visit.form, "email", "password")
        await _start_session(visit)
    except DoorwardError as error:
        return _sign_in_form(visit, visit.note(error))
    return visit.onward()


async def _start_session(visit: Visit) -> None:
    before = page_token(visit)
    signed_in = await visit.auth.sign_in(
        email=visit.form["email"],
        password=visit.secret("password"),
        carrier=carrier_of(visit),
        remember=_asks_to_remember(visit),
        origin=visit.request.origin,
        # Whatever was in this browser before ends: somebody may have planted it (session fixation).
        sent_along=all_cookies(visit.auth, visit.request),
    )
    if before is not None:
        await visit.auth.revoke(before, origin=visit.request.origin)
    remember(visit, signed_in)


def _asks_to_remember(visit: Visit) -> bool:
    return visit.form.get("remember") == "on"


def _sign_in_form(visit: Visit, mistakes: Mistakes | None = None) -> Response:
    notice = visit.query.get("notice")
    return visit.show(
        "sign_in.html",
        status=mistakes.status if mistakes else 200,
        headers=mistakes.headers if mistakes else (),
        mistakes=mistakes,
        notice=notice if notice in NOTICES and mistakes is None else None,
        email=visit.form.get("email", ""),
        may_remember=may_remember(visit),
        remember=_asks_to_remember(visit),
        sign_up_is_open=visit.auth.options.sign_up == "open",
    )


# Signing up


async def show_sign_up(visit: Visit) -> Response:
    api_accounts.require_open_sign_up(visit.auth)
    return _sign_up_form(visit)


async def sign_up(visit: Visit) -> Response:
    api_accounts.require_open_sign_up(visit.auth)
    try:
        visit.check_form()
        if not visit.keeps_cookies:
            return _sign_up_form(visit, visit.no_cookie())
        await visit.auth.sign_up(
            email=visit.form.get("email", ""),
            password=visit.secret("password"),
            name=visit.form.get("name"),
            fields=_own_fields(visit),
            actor=Actor(origin=visit.request.origin),
        )
    except DoorwardError as error:
        mistakes = with_missing(visit.note(error), visit.form, visit.language, "email", "password")
        return _sign_up_form(visit, _with_own_mistakes(mistakes))
    try:
        await _start_session(visit)
    except DoorwardError:
        # The account is there, and nobody shall be told otherwise.
        return visit.redirect(visit.link("sign-in", notice="signed_up"))
    return visit.onward()


def _own_fields(visit: Visit) -> dict[str, str]:
    """The inputs of the application's own template whose names begin with ``fields.``."""
    return {name.removeprefix(_OWN): value for name, value in visit.form.items() if name.startswith(_OWN)}


def _with_own_mistakes(mistakes: Mistakes) -> Mistakes:
    """Mistakes in fields that our template has no place for, said of the form as a whole."""
    own = [text for name, texts in mistakes.fields.items() if name not in _FIELDS for text in texts]
    return replace(mistakes, general=" ".join(own)) if own and mistakes.general is None else mistakes


def _sign_up_form(visit: Visit, mistakes: Mistakes | None = None) -> Response:
    return visit.show(
        "sign_up.html",
        status=mistakes.status if mistakes else 200,
        headers=mistakes.headers if mistakes else (),
        mistakes=mistakes,
        email=visit.form.get("email", ""),
        display_name=visit.form.get("name", ""),
        may_remember=may_remember(visit),
        remember=_asks_to_remember(visit),
        fields=_own_fields(visit),
    )


# Signing out


async def show_sign_out(visit: Visit) -> Response:
    """A form to confirm with: a link signs nobody out, whoever wrote it."""
    try:
        leaver = await authenticate_leaving(visit)
    except SIGNED_OUT:
        return visit.redirect(visit.link("sign-in"))
    return visit.show("sign_out.html", session_id=leaver.session_id)


async def sign_out(visit: Visit) -> Response:
    try:
        leaver = await authenticate_leaving(visit)
        call = Call(request=visit.request, caller=leaver, body=None, query=None, path={})
        answer = await api_sessions.sign_out(visit.auth, call)
    except SIGNED_OUT:
        # It is over: what was asked for is so.
        return visit.redirect(visit.link("sign-in"))
    forget(visit)
    visit.keep_cookies_of(answer)
    visit.clear_pages_in_memory()
    if visit.return_to is not None:
        return visit.onward()
    return visit.redirect(visit.link("sign-in", notice="signed_out"))


# The password


async def show_change_password(visit: Visit) -> Response:
    principal = await authenticate(visit)
    return await _change_password_form(visit, subject=principal.subject, session_id=principal.session_id)


async def change_password(visit: Visit) -> Response:
    principal = await authenticate(visit)
    try:
        require(visit.form, "current_password", "new_password")
        body = NewPassword(current_password=visit.secret("current_password"), new_password=visit.secret("new_password"))
        call = Call(request=visit.request, caller=principal, body=body, query=None, path={})
        visit.keep_cookies_of(await api_accounts.change_password(visit.auth, call))
    except DoorwardError as error:
        mistakes = visit.note(error, judged="new_password")
        if isinstance(error, InvalidCredentials):
            said = visit.language("error_current_password")
            mistakes = Mistakes(status=mistakes.status, fields={"current_password": [said]})
        return await _change_password_form(
            visit, subject=principal.subject, session_id=principal.session_id, mistakes=mistakes
        )
    return visit.redirect(visit.link("sessions", notice="password_changed"))


async def _change_password_form(
    visit: Visit, *, subject: str, session_id: str, mistakes: Mistakes | None = None
) -> Response:
    return visit.show(
        "change_password.html",
        status=mistakes.status if mistakes else 200,
        headers=mistakes.headers if mistakes else (),
        session_id=session_id,
        mistakes=mistakes,
        account=account_json(await visit.auth.account(subject)),
    )
