"""Values that are right in every field, of which a test changes what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from doorward.accounts.model import Account
from doorward.audit.model import Actor, Origin
from doorward.keys.model import Algorithm, StoredKey
from doorward.options import FIRST_PARTY
from doorward.sessions.model import Ending, EndReason, NewSession, Session
from doorward.testing.clock import NOON
from doorward.verifiers.model import StoredVerifier

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=30)


def an_account(number: int = 1, **changes: Any) -> Account:
    """An account that may sign in and has no password.

    Args:
        number: tells it from others: with it go id and e-mail.
        **changes: fields that are to be otherwise.
    """
    account = Account(
        id=f"account{number:09d}",
        email=f"ada{number}@example.com",
        email_key=f"ada{number}@example.com",
        created_at=NOON,
    )
    return replace(account, **changes)


def a_new_session(number: int = 1, **changes: Any) -> NewSession:
    """A session of ``an_account()`` that has not started.

    Args:
        number: tells it from others: with it go key, id and secret.
        **changes: fields that are to be otherwise.
    """
    new = NewSession(
        key=number,
        id=f"session{number:09d}",
        account=an_account().id,
        account_version=0,
        client=FIRST_PARTY,
        strategy="hybrid",
        carrier="token",
        secret_hash=sha256(f"secret {number}".encode()).digest(),
        idle=IDLE,
        absolute=ABSOLUTE,
        label=None,
        origin=Origin(ip="192.0.2.1", user_agent="Tester/1.0"),
        methods=("pwd",),
    )
    return replace(new, **changes)


def a_session(number: int = 1, **changes: Any) -> Session:
    """A session of ``an_account()`` that started at ``NOON`` and was not refreshed yet."""
    return replace(a_new_session(number).begun(at=NOON), **changes)


def an_ending(reason: EndReason = EndReason.SIGNED_OUT, **changes: Any) -> Ending:
    """An end for a reason, by the account itself."""
    actor = Actor(name=an_account().id, origin=Origin(ip="192.0.2.1", user_agent="Tester/1.0"))
    return replace(Ending(reason=reason, actor=actor, remember_for=timedelta(seconds=1020)), **changes)


def a_verifier(number: int = 1, **changes: Any) -> StoredVerifier:
    fields = {"id": f"verify{number:02d}", "name": f"verifier-{number}", "secret_hash": bytes([number]) * 32}
    return StoredVerifier(**{**fields, "created_at": NOON, **changes})


def a_signing_key(number: int = 1, **changes: Any) -> StoredKey:
    """A key that signs from ``NOON`` on.  Its material is none: a store does not look into it."""
    key = StoredKey(
        kid=f"key{number}",
        algorithm=Algorithm.ES256,
        wrapped=f"wrapped {number}",
        public={"kty": "EC", "kid": f"key{number}"},
        created_at=NOON,
        activates_at=NOON,
    )
    return replace(key, **changes)
