"""Administration: accounts, their sessions, the audit trail."""

from __future__ import annotations

from typing import Any

from msgspec import UnsetType

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import NotFound
from doorward.http.cursors import parse_page, write_cursor
from doorward.http.message import NO_CONTENT, Response, json_answer
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import (
    AccountChangeJson,
    AccountList,
    AccountQuery,
    AdminAccountAnswer,
    AuditList,
    AuditQuery,
    Revoked,
    SessionList,
    admin_account_json,
    audit_event_json,
    session_json,
)
from doorward.sessions.model import EndReason
from doorward.wire.identifiers import is_identifier


async def find_accounts(auth: Doorward, call: Call[Actor, None, AccountQuery]) -> Response:
    asked = call.query
    page = parse_page("accounts", limit=asked.limit, cursor=asked.cursor)
    accounts = await auth.find_accounts(page, query=asked.query)
    more = len(accounts) == asked.limit
    return json_answer(
        AccountList(
            accounts=tuple(admin_account_json(account) for account in accounts),
            next_cursor=write_cursor("accounts", accounts[-1].id) if more else None,
        )
    )


async def read_account(auth: Doorward, call: Call[Actor, None, None]) -> Response:
    account = await auth.account(_account_id(call))
    return json_answer(AdminAccountAnswer(account=admin_account_json(account)))


async def change_account(auth: Doorward, call: Call[Actor, AccountChangeJson, None]) -> Response:
    asked = call.body
    change = AccountChange(
        name=None if isinstance(asked.name, UnsetType) else asked.name,
        roles=None if isinstance(asked.roles, UnsetType) else asked.roles,
        disabled=None if isinstance(asked.disabled, UnsetType) else asked.disabled,
    )
    account = await auth.change_account(_account_id(call), change, actor=call.caller)
    return json_answer(AdminAccountAnswer(account=admin_account_json(account)))


async def list_account_sessions(auth: Doorward, call: Call[Actor, None, None]) -> Response:
    sessions = await auth.sessions(_account_id(call))
    shown = tuple(session_json(session, current=None, places=auth.places) for session in sessions)
    return json_answer(SessionList(sessions=shown))


async def end_account_sessions(auth: Doorward, call: Call[Actor, None, None]) -> Response:
    account = await auth.account(_account_id(call))
    revoked = await auth.end_sessions(account.id, reason=EndReason.ADMIN, actor=call.caller)
    return json_answer(Revoked(revoked=revoked))


async def end_account_session(auth: Doorward, call: Call[Actor, None, None]) -> Response:
    account_id, session_id = _account_id(call), call.path["sid"]
    if not is_identifier(session_id):
        raise NotFound
    await auth.end_session(session_id, account_id=account_id, reason=EndReason.ADMIN, actor=call.caller)
    return NO_CONTENT


async def read_audit(auth: Doorward, call: Call[Actor, None, AuditQuery]) -> Response:
    asked = call.query
    page = parse_page("audit", limit=asked.limit, cursor=asked.cursor)
    events = await auth.trail(
        page,
        account=None if isinstance(asked.account, UnsetType) else asked.account,
        action=None if isinstance(asked.action, UnsetType) else asked.action,
    )
    more = len(events) == asked.limit
    return json_answer(
        AuditList(
            events=tuple(audit_event_json(event) for event in events),
            next_cursor=write_cursor("audit", str(events[-1].id)) if more else None,
        )
    )


def _account_id(call: Call[Actor, Any, Any]) -> str:
    """The account that the path names.  Raises NotFound where it can name none."""
    account_id = call.path["id"]
    if not is_identifier(account_id):
        raise NotFound
    return account_id


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="find_accounts",
        method="GET",
        path="/v1/admin/accounts",
        tag="Admin",
        summary="Find accounts by e-mail address, name or id",
        access=Access.ADMIN,
        handler=find_accounts,
        query=AccountQuery,
        answers={200: Answer(description="A page of accounts.", shape=AccountList)},
    ),
    Operation(
        id="read_account",
        method="GET",
        path="/v1/admin/accounts/{id}",
        tag="Admin",
        summary="Read an account",
        access=Access.ADMIN,
        handler=read_account,
        answers={200: Answer(description="The account.", shape=AdminAccountAnswer)},
    ),
    Operation(
        id="change_account",
        method="PATCH",
        path="/v1/admin/accounts/{id}",
        tag="Admin",
        summary="Change an account; disabling it ends all its sessions at once",
        access=Access.ADMIN,
        handler=change_account,
        body=AccountChangeJson,
        answers={200: Answer(description="The account as it is now.", shape=AdminAccountAnswer)},
    ),
    Operation(
        id="list_account_sessions",
        method="GET",
        path="/v1/admin/accounts/{id}/sessions",
        tag="Admin",
        summary="List the sessions of an account",
        access=Access.ADMIN,
        handler=list_account_sessions,
        answers={200: Answer(description="Those that stand, the newest first.", shape=SessionList)},
    ),
    Operation(
        id="end_account_sessions",
        method="DELETE",
        path="/v1/admin/accounts/{id}/sessions",
        tag="Admin",
        summary="End all sessions of an account",
        access=Access.ADMIN,
        handler=end_account_sessions,
        answers={200: Answer(description="How many were ended.", shape=Revoked)},
    ),
    Operation(
        id="end_account_session",
        method="DELETE",
        path="/v1/admin/accounts/{id}/sessions/{sid}",
        tag="Admin",
        summary="End one session of an account",
        access=Access.ADMIN,
        handler=end_account_session,
        answers={204: Answer(description="It has ended.")},
    ),
    Operation(
        id="read_audit",
        method="GET",
        path="/v1/admin/audit",
        tag="Admin",
        summary="Read the audit trail, the newest first",
        access=Access.ADMIN,
        handler=read_audit,
        query=AuditQuery,
        answers={200: Answer(description="A page of events.", shape=AuditList)},
    ),
)
