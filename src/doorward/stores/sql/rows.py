"""Rows to values of the models and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, case

from doorward.accounts.model import Account
from doorward.audit.model import Actor, AuditEvent, Origin
from doorward.keys.model import StoredKey
from doorward.revocation.model import Revocation
from doorward.sessions.model import Session
from doorward.stores.paging import searchable
from doorward.stores.sql import schema
from doorward.verifiers.model import StoredVerifier

_ACCOUNT_FIELDS = tuple(field.name for field in fields(Account))
_SESSION_FIELDS = tuple(field.name for field in fields(Session) if field.name != "origin")
_KEY_FIELDS = tuple(field.name for field in fields(StoredKey))
_VERIFIER_FIELDS = tuple(field.name for field in fields(StoredVerifier))
_REVOCATION_FIELDS = tuple(field.name for field in fields(Revocation))

# The order of columns in every SELECT and RETURNING below: rows are read by position, which is quicker than by name.
ACCOUNT = tuple(schema.account.c[name] for name in _ACCOUNT_FIELDS)
SESSION = (*(schema.session.c[name] for name in _SESSION_FIELDS), schema.session.c.ip, schema.session.c.user_agent)
KEY = tuple(schema.signing_key.c[name] for name in _KEY_FIELDS)
VERIFIER = tuple(schema.verifier.c[name] for name in _VERIFIER_FIELDS)
REVOCATION = tuple(schema.revocation.c[name] for name in _REVOCATION_FIELDS)
EVENT = tuple(schema.audit_event.c)


def account_of(row: Sequence[Any]) -> Account:
    return Account(**dict(zip(_ACCOUNT_FIELDS, row, strict=True)))


def session_of(row: Sequence[Any]) -> Session:
    *values, ip, user_agent = row
    return Session(
        **dict(zip(_SESSION_FIELDS, values, strict=True)), origin=Origin.stored(ip=ip, user_agent=user_agent)
    )


def key_of(row: Sequence[Any]) -> StoredKey:
    return StoredKey(**dict(zip(_KEY_FIELDS, row, strict=True)))


def verifier_of(row: Sequence[Any]) -> StoredVerifier:
    return StoredVerifier(**dict(zip(_VERIFIER_FIELDS, row, strict=True)))


def revocation_of(row: Sequence[Any]) -> Revocation:
    return Revocation(**dict(zip(_REVOCATION_FIELDS, row, strict=True)))


def event_of(row: Sequence[Any]) -> AuditEvent:
    number, at, action, actor, ip, user_agent, account, session, detail = row
    return AuditEvent(
        id=number,
        at=at,
        action=action,
        actor=Actor(name=actor, origin=Origin.stored(ip=ip, user_agent=user_agent)),
        account=account,
        session=session,
        detail=detail,
    )


def account_values(account: Account) -> dict[str, Any]:
    return {**_values(account, _ACCOUNT_FIELDS), "searchable": searchable(account)}


def session_values(session: Session) -> dict[str, Any]:
    return {**_values(session, _SESSION_FIELDS), "ip": session.origin.ip, "user_agent": session.origin.user_agent}


def key_values(key: StoredKey) -> dict[str, Any]:
    return _values(key, _KEY_FIELDS)


def verifier_values(verifier: StoredVerifier) -> dict[str, Any]:
    return _values(verifier, _VERIFIER_FIELDS)


def revocation_values(revocation: Revocation) -> dict[str, Any]:
    return _values(revocation, _REVOCATION_FIELDS)


def event_values(event: AuditEvent) -> dict[str, Any]:
    return {
        "action": event.action,
        "actor": event.actor.name,
        "ip": event.actor.origin.ip,
        "user_agent": event.actor.origin.user_agent,
        "account": event.account,
        "session": event.session,
        "detail": event.detail,
    }


def later(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greater of two values; engines disagree on what the function is called."""
    return case((one > other, one), else_=other)


def earlier(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one < other, one), else_=other)


def _values(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}
