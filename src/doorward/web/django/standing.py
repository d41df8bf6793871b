"""Whether the user of an account may do anything: ``is_active``, and whether there is one still.

A request costs no query for it as long as the answer is at most a second old.  What this process writes to the tables
of users is noticed at once, whichever way it is written; what others write, within that second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, router, transaction

from doorward.audit.model import Actor
from doorward.errors import SessionEnded, StoreUnavailable
from doorward.sessions.model import EndReason
from doorward.web.django.conf import run, shares_database
from doorward.web.django.models import LinkedAccount

STANDS_FOR_SECONDS = 1.0
"""How long it is believed that a user is active."""

ACTOR = Actor(name="django")
"""What the audit trail calls the project, where it deactivates or deletes a user."""

ticks = time.monotonic
"""By which that is measured."""

_MOST = 100_000
_AT_ONCE = 500
_is_migrated = False


class _Memory:
    """Accounts whose users were active a moment ago.  Refusals are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._written = 0

    @property
    def written(self) -> int:
        """How often something was written to the tables of users; taken before they are read."""
        return self._written

    def stands(self, account: str, *, now: float) -> bool:
        return self._until.get(account, now) > now

    def keep(self, account: str, *, now: float, written: int) -> None:
        """Keep what was read, unless something was written meanwhile."""
        with self._lock:
            if written != self._written:
                return
            if len(self._until) >= _MOST:
                self._until.clear()
            self._until[account] = now + STANDS_FOR_SECONDS

    def forget(self) -> None:
        with self._lock:
            self._written += 1
            self._until.clear()


memory = _Memory()


def require_active(account: str) -> AbstractBaseUser | None:
    """Refuse an account whose user is inactive or deleted, and end its sessions wherever they are.

    Returns:
        The user where the database was asked; None where it was not, or where the account has no user yet.

    Raises:
        SessionEnded: the user is inactive or deleted.
        StoreUnavailable: Django's database does not answer.
    """
    if memory.stands(account, now=ticks()):
        return None
    written, now = memory.written, ticks()
    try:
        if not _has_links():
            return None
        link = LinkedAccount.objects.select_related("user").filter(account=account).first()
    except DatabaseError as error:
        raise StoreUnavailable(detail="Django's database does not say whether the user is active") from error
    if link is not None and not _is_active(link):
        unlocked(lambda: end_sessions(account))
        raise SessionEnded(EndReason.ACCOUNT_DISABLED, "Django's user is inactive or deleted")
    memory.keep(account, now=now, written=written)
    return link.user if link is not None else None


def _has_links() -> bool:
    """Whether any account can have a user: a project that asks for principals alone needs no table of ours."""
    global _is_migrated  # noqa: PLW0603 -- it is the database's state, and never goes back
    if not _is_migrated:
        connection = connections[router.db_for_read(LinkedAccount)]
        named = LinkedAccount._meta.db_table  # noqa: SLF001 -- Django's, as documented
        _is_migrated = connection.vendor != "unknown" and named in connection.introspection.table_names()
    return _is_migrated


def _is_active(link: LinkedAccount) -> bool:
    return link.user is not None and link.user.is_active


def end_inactive(accounts: Collection[str]) -> None:
    """End the sessions of those accounts whose users are inactive or deleted."""
    wanted = sorted(accounts)
    for start in range(0, len(wanted), _AT_ONCE):
        for link in LinkedAccount.objects.select_related("user").filter(account__in=wanted[start : start + _AT_ONCE]):
            if not _is_active(link):
                end_sessions(link.account)


def end_sessions(account: str) -> None:
    """End all sessions of an account because of what became of its user."""
    run(lambda auth: auth.end_sessions(account, reason=EndReason.ACCOUNT_DISABLED, actor=ACTOR))


def unlocked(action: Callable[[], object]) -> None:
    """Run an action now, or after the transaction that holds the lock of the SQLite file which it writes to."""
    connection = connections[DEFAULT_DB_ALIAS]
    if shares_database() and connection.vendor == "sqlite" and connection.in_atomic_block:
        transaction.on_commit(action)
    else:
        action()


# What is written


def watch_connection(*, connection: Any, **_: object) -> None:
    """Receiver of ``connection_created``: notice what is written to the tables of users."""
    if _notice not in connection.execute_wrappers:
        # First: Django's context manager of the same kind takes away the last, whichever that is.
        connection.execute_wrappers.insert(0, _notice)


def _notice(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 -- as Django calls it
    result = execute(sql, params, many, context)
    if not isinstance(sql, str) or (_writes(sql) and any(table in sql for table in _tables())):
        memory.forget()
        if context["connection"].in_atomic_block:
            # Until then other connections read what was there before.
            transaction.on_commit(memory.forget, using=context["connection"].alias)
    return result


def _writes(sql: str) -> bool:
    return not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE", "BEGIN", "PRAGMA"))


@lru_cache(maxsize=1)
def _tables() -> Sequence[str]:
    user = get_user_model()._meta  # noqa: SLF001 -- Django's, as documented
    parents: Iterable[Any] = user.get_parent_list()
    return (user.db_table, LinkedAccount._meta.db_table, *(each._meta.db_table for each in parents))  # noqa: SLF001
