"""Accounts: signing up, changing the password."""

from __future__ import annotations

from msgspec import UnsetType

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import (
    EmailTaken,
    FieldError,
    InvalidCredentials,
    NotAvailable,
    NotPermitted,
    RateLimited,
    ValidationFailed,
    WeakPassword,
)
from doorward.http.cookies import keep
from doorward.http.message import NO_CONTENT, Response, json_answer
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import AccountAnswer, NewAccount, NewPassword, account_json
from doorward.principal import Principal
from doorward.wire.cookies import SESSION_COOKIE


def require_open_sign_up(auth: Doorward) -> None:
    """Raises NotAvailable where people do not open accounts themselves."""
    if auth.options.sign_up == "closed":
        raise NotAvailable("sign-up is closed")


async def sign_up(auth: Doorward, call: Call[None, NewAccount, None]) -> Response:
    require_open_sign_up(auth)
    fields = None if isinstance(call.body.fields, UnsetType) else call.body.fields
    if fields is not None and not auth.takes_sign_up_fields:
        raise ValidationFailed([FieldError(field="fields", message="There is no such field here.")])
    account = await auth.sign_up(
        email=call.body.email,
        password=call.body.password,
        name=call.body.name,
        fields=fields,
        actor=Actor(origin=call.origin),
    )
    return json_answer(AccountAnswer(account=account_json(account)), status=201)


async def change_password(auth: Doorward, call: Call[Principal, NewPassword, None]) -> Response:
    handle = await auth.change_password(
        call.caller, current=call.body.current_password, new=call.body.new_password, origin=call.origin
    )
    if handle is None:
        return NO_CONTENT
    _, session = await auth.current(call.caller)
    return NO_CONTENT.with_headers([keep(auth, call.request, SESSION_COOKIE, handle, session)])


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="sign_up",
        method="POST",
        path="/v1/accounts",
        tag="Accounts",
        summary="Sign up",
        access=Access.VISITOR,
        handler=sign_up,
        body=NewAccount,
        answers={201: Answer(description="The account.", shape=AccountAnswer)},
        refuses=(EmailTaken, WeakPassword, RateLimited, NotAvailable, NotPermitted),
    ),
    Operation(
        id="change_password",
        method="PUT",
        path="/v1/password",
        tag="Accounts",
        summary="Change the password; every other session of the account ends",
        access=Access.ACCOUNT,
        handler=change_password,
        body=NewPassword,
        answers={
            204: Answer(
                description="Changed.",
                headers={"Set-Cookie": "The session's new handle, where a cookie carries it."},
            )
        },
        refuses=(InvalidCredentials, WeakPassword, RateLimited),
    ),
)
