"""What can go wrong, one class for each thing that a caller can act on.

    DoorwardError
    ├── ConfigurationError          options that contradict each other or weaken a default; raised at start
    ├── DatabaseUnusable            missing, read-only, corrupt, from a newer version, made with another secret
    ├── Refusal                     the request is understood and not granted
    │   ├── NotAuthenticated        no credential was sent
    │   ├── InvalidCredentials      e-mail and password do not go together
    │   ├── InvalidToken            an access token that is not ours, not now or not for us
    │   ├── SessionEnded            the session behind the credential is over; says why
    │   ├── InvalidGrant            a refresh token that is not honoured; says why where that is safe
    │   ├── ConflictingCredentials  two credentials of different sessions
    │   ├── CsrfFailed              a state change that a foreign page may have sent
    │   ├── NotPermitted            authenticated, and not allowed
    │   ├── InsufficientAuthentication  authenticated, but too long ago for this
    │   ├── NotFound                nothing there, or nothing of yours
    │   ├── NotAvailable            switched off by the deployment's options
    │   ├── EmailTaken, WeakPassword, ValidationFailed
    │   └── RateLimited             too often; says when to try again
    └── Unavailable                 not now, and not the caller's fault; says when to try again
        ├── TooEarly                a lost reply cannot be told from a late one yet
        ├── Busy                    a bounded queue is full
        ├── KeysNotLoaded           there is no signing key yet
        └── StoreUnavailable        the database does not answer

``code`` is API.  ``public`` is one constant text a class, so that two causes cannot be told apart from outside;
``detail`` is for the log.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


class DoorwardError(Exception):
    """Everything that Doorward raises on purpose."""

    code: ClassVar[str] = "doorward_error"
    public: ClassVar[str] = "Doorward could not do this."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with the configuration, found at start.

    Args:
        id: stable, ``DW001`` and so on; what to search for.
        message: what is wrong.
        remedy: what to do about it.
    """

    id: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.id}: {self.message} {self.remedy}"


class ConfigurationError(DoorwardError):
    """The options cannot be honoured."""

    code = "configuration_error"
    public = "The configuration cannot be used."

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class DatabaseUnusable(DoorwardError):
    """The database cannot be opened as it is; ``detail`` names the remedy."""

    code = "database_unusable"
    public = "The database cannot be used."


class Refusal(DoorwardError):
    """The request is understood and not granted."""


class NotAuthenticated(Refusal):
    """The call needs a credential and none was sent."""

    code = "not_authenticated"
    public = "Sign in first."


class InvalidCredentials(Refusal):
    """E-mail and password do not go together.  The same whether or not the e-mail has an account."""

    code = "invalid_credentials"
    public = "The e-mail address or the password is wrong."


class InvalidToken(Refusal):
    """An access token that is not ours, not now or not for us.  One answer whatever the cause (RFC 6750 section 3)."""

    code = "invalid_token"
    public = "The access token is not valid. Get a new one, or sign in."


class SessionEnded(Refusal):
    """The session behind the credential is over.

    Args:
        reason: ``signed_out``, ``reuse``, ``password_changed``, ``account_disabled``, ``session_limit``, ``admin``,
            ``idle``, ``expired`` or ``key_revoked``.
    """

    code = "session_ended"
    public = "This session has ended. Sign in again."

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class InvalidGrant(Refusal):
    """A refresh token that is not honoured (RFC 6749 section 5.2).

    Args:
        reason: why the session is over, or None where telling would help a forger.
    """

    code = "invalid_grant"
    public = "The refresh token is not valid any more. Sign in again."

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class ConflictingCredentials(Refusal):
    """A cookie and a bearer token of different sessions in one request."""

    code = "conflicting_credentials"
    public = "The request carries two credentials of different sessions. Send one."


class CsrfFailed(Refusal):
    """A state change by cookie that a foreign page may have sent.

    Args:
        check: the check that failed: ``sec_fetch_site``, ``origin`` or ``csrf_token``.
    """

    code = "csrf_failed"
    public = "The request may come from a foreign page."

    def __init__(self, check: str, detail: str = "") -> None:
        super().__init__(detail or check)
        self.check = check


class NotPermitted(Refusal):
    """Authenticated, and not allowed.

    Args:
        scopes: those that are needed, where scopes are what is missing: a client may ask for them.
    """

    code = "not_permitted"
    public = "This credential does not allow that."

    def __init__(self, detail: str = "", *, scopes: Collection[str] = ()) -> None:
        super().__init__(detail)
        self.scopes = frozenset(scopes)


class InsufficientAuthentication(Refusal):
    """Authenticated, but too long ago for what is asked: signing in again helps (RFC 9470).

    Args:
        max_age: how long ago it may have been.
    """

    code = "insufficient_user_authentication"
    public = "This needs a recent proof of who you are. Sign in again."

    def __init__(self, max_age: timedelta, detail: str = "") -> None:
        super().__init__(detail)
        self.max_age = max_age


class NotFound(Refusal):
    """Nothing there, or nothing of the caller's: the two are not told apart."""

    code = "not_found"
    public = "There is nothing here by that name."


class NotAvailable(Refusal):
    """This deployment does not offer it."""

    code = "not_available"
    public = "This is not available here."


class EmailTaken(Refusal):
    """An account with this e-mail exists."""

    code = "email_taken"
    public = "An account with this e-mail address exists. Sign in, or use another address."


class WeakPassword(Refusal):
    """The password is guessed too easily.

    Args:
        advice: sentences for the person who chooses it.
    """

    code = "weak_password"
    public = "This password is guessed too easily. Choose a longer or less common one."

    def __init__(self, advice: Sequence[str] = ()) -> None:
        super().__init__(" ".join(advice))
        self.advice = tuple(advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field of the request."""

    field: str
    message: str


class ValidationFailed(Refusal):
    """The request has fields that are missing, unknown or of the wrong shape."""

    code = "validation_failed"
    public = "The request has fields that cannot be used."

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class RateLimited(Refusal):
    """Too often.

    Args:
        retry_after: how long to wait.
    """

    code = "rate_limited"
    public = "Too many attempts. Wait before the next."

    def __init__(self, retry_after: timedelta, detail: str = "") -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(DoorwardError):
    """Not now, and not the caller's fault.

    Args:
        retry_after: when trying again makes sense.
    """

    code = "unavailable"
    public = "This cannot be answered right now. Try again."
    dependency: ClassVar[str | None] = None
    """What does not answer, for ``/readyz``; None where it depends on who raises it."""

    def __init__(self, retry_after: timedelta = timedelta(seconds=1), detail: str = "") -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooEarly(Unavailable):
    """A lost reply cannot be told from a late one yet (docs/concepts/rotation.md, Wait)."""

    code = "too_early"
    public = "It is too early to answer this refresh token. Try again after the time given."


class Busy(Unavailable):
    """A bounded queue is full."""

    code = "busy"
    public = "The server is busy. Try again."


class KeysNotLoaded(Unavailable):
    """The process has no key to sign with yet."""

    dependency = "signing keys"


class StoreUnavailable(Unavailable):
    """The database does not answer, or it is not known whether it committed: nobody is signed out for that."""

    code = "store_unavailable"
    public = "The store does not answer. Try again."
    dependency = "database"
