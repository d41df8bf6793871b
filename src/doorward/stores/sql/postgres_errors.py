"""What errors of PostgreSQL and its two drivers mean."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from doorward.errors import Busy, DatabaseUnusable, DoorwardError, FieldError, StoreUnavailable, ValidationFailed
from doorward.stores.sql.postgres_address import PostgresAddress

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ROLLED_BACK = frozenset({"40001", "40P01"})
_LOCK_NOT_AVAILABLE = "55P03"
_TOO_MANY_CONNECTIONS = "53300"
READ_ONLY = "25006"
_NO_ROOM_FOR_VALUE = "22"

_UNUSABLE = {
    "28P01": "does not accept the password. Correct it in DOORWARD_DATABASE.",
    "28000": "does not let this user in. Correct DOORWARD_DATABASE, or pg_hba.conf there.",
    "3D000": "has no such database. Make it with createdb, or name another one in DOORWARD_DATABASE.",
    "42501": "does not allow it. Let the user of DOORWARD_DATABASE own the tables; to make them it needs:"
    " GRANT CREATE ON SCHEMA public",
}
_MISTAKES = ("42", "23")
"""Statements that are wrong and constraints that are broken: ours to mend, so they stay what they are."""

_SCHEMA_GONE = frozenset({"42P01", "42703", "42501"})


class Unsure(Exception):
    """The connection was lost while the transaction was being committed."""


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's code, whichever driver told of it; None where the error is none of the engine's."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def has_rolled_back(error: BaseException) -> bool:
    """Whether the engine itself undid the transaction: a deadlock, or order that could not be kept."""
    return sqlstate_of(error) in _ROLLED_BACK


def is_worth_another_try(error: BaseException) -> bool:
    """Whether it is certain that nothing was committed and likely that it works now.

    A connection that was lost before the commit was asked for: the engine was restarted, and there are others.
    """
    return has_rolled_back(error) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def translated(error: Exception, address: PostgresAddress) -> Exception:
    """The error that a caller can act on; what is no fault of the engine stays what it is."""
    if isinstance(error, DoorwardError | IntegrityError):
        return error
    state, told = sqlstate_of(error) or "", f"{address}: {address.hide(_cause(error))}"
    if isinstance(error, NoConnectionFree) or state in {_LOCK_NOT_AVAILABLE, _TOO_MANY_CONNECTIONS, *_ROLLED_BACK}:
        return Busy(detail=told)
    if state.startswith(_NO_ROOM_FOR_VALUE) or is_about_a_value(error):
        return ValidationFailed([FieldError(field="request", message="A text or a number cannot be stored.")])
    if state.startswith(_MISTAKES) and state not in _SCHEMA_GONE:
        return error
    if isinstance(error, Unsure):
        return StoreUnavailable(detail=f"{told}: it is not known whether that was committed")
    if isinstance(error, DBAPIError | OSError | TimeoutError) or state or _is_of_a_driver(error):
        return StoreUnavailable(detail=told)
    return error


def unusable(error: Exception, address: PostgresAddress) -> Exception:
    """The error that somebody can act on who opens or migrates a database."""
    remedy = _UNUSABLE.get(sqlstate_of(error) or "")
    return DatabaseUnusable(f"{address} {remedy}") if remedy else translated(error, address)


def _cause(error: BaseException) -> str:
    if isinstance(error, Unsure) and error.__cause__ is not None:
        error = error.__cause__
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # libpq tells of each address that it tried in a line of its own.
    said = " ".join(str(cause).split()) or type(cause).__name__
    return "no answer in time" if isinstance(cause, TimeoutError) else said.removeprefix(f"{type(cause)}: ")


def is_about_a_value(error: Exception) -> bool:
    """Whether the driver could not put a value into a column's form; it says so without the engine."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, UnicodeEncodeError | OverflowError) or type(cause).__name__ == "DataError"


def _is_of_a_driver(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in {"asyncpg", "psycopg"}
