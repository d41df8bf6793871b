"""The JSON of the contract: what each operation takes and answers.  OpenAPI's schemas are made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from doorward.accounts.model import Account
from doorward.audit.model import Action, AuditEvent
from doorward.http.message import write_time
from doorward.places import Places
from doorward.secret import Secret
from doorward.sessions.model import Session

Time = Annotated[str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})]
Seconds = Annotated[int, Meta(description="Whole seconds.", ge=0)]
Carrier = Literal["cookie", "token"]
Cursor = Annotated[str, Meta(description="Opaque: the next_cursor of the page before.", max_length=200)]
Limit = Annotated[int, Meta(description="At most so many.", ge=1, le=200)]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends: a member that we do not know is a mistake that somebody wants to hear of.

    In a query string what may be left out is UNSET, not None: msgspec would take the text "null" for it.
    """


class Output(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What we answer."""


# Accounts


class NewAccount(Input, frozen=True):
    email: str
    password: Secret
    name: str | None = None
    fields: (
        Annotated[
            dict[str, str | int | bool | None], Meta(description="The application's own, where it has a hook for them.")
        ]
        | UnsetType
    ) = UNSET


class NewPassword(Input, frozen=True):
    current_password: Secret
    new_password: Secret


class AccountJson(Output, frozen=True):
    id: str
    email: str
    email_verified: bool
    name: str | None
    roles: tuple[str, ...]
    created_at: Time


class AccountAnswer(Output, frozen=True):
    account: AccountJson


def account_json(account: Account) -> AccountJson:
    return AccountJson(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        name=account.name,
        roles=account.roles,
        created_at=write_time(account.created_at),
    )


# Sessions


class NewSession(Input, frozen=True):
    email: str
    password: Secret
    carrier: Carrier | None = None
    label: str | None = None
    remember: Annotated[bool, Meta(description="Keep the session when the browser closes; tokens always do.")] = False


class KeepQuery(Input, frozen=True):
    keep: Annotated[Literal["current"], Meta(description="Leave the caller's own session alone.")] | UnsetType = UNSET


class OptionalQuery(Input, frozen=True):
    optional: Annotated[
        bool, Meta(description="Answer 204 instead of 401 where the request carries no credential.")
    ] = False


class CheckQuery(Input, frozen=True):
    """What a proxy asks for beside who it is."""

    roles: (
        Annotated[
            str,
            Meta(
                description="403 unless the account has all of these roles, comma between.",
                pattern="^[a-z][a-z0-9:_-]*(,[a-z][a-z0-9:_-]*)*$",
                max_length=1000,
            ),
        ]
        | UnsetType
    ) = UNSET
    scope: (
        Annotated[
            str,
            Meta(
                description="403 unless the credential has all of these scopes, space between.",
                pattern="^[!-~]+( [!-~]+)*$",
                max_length=1000,
            ),
        ]
        | UnsetType
    ) = UNSET
    token: Annotated[bool, Meta(description="Answer with Authorization, for the upstream.")] = False
    fresh: Annotated[bool, Meta(description="503 where what is known of revocations is too old.")] = False


class SessionJson(Output, frozen=True):
    id: str
    created_at: Time
    last_seen_at: Time
    idle_expires_at: Time
    expires_at: Time
    label: str | None
    ip: str | None
    user_agent: str | None
    location: str | None
    methods: Annotated[tuple[str, ...], Meta(description="How the subject proved itself (RFC 8176).")]
    current: bool


class SessionAnswer(Output, frozen=True):
    account: AccountJson
    session: SessionJson


class SessionList(Output, frozen=True):
    sessions: tuple[SessionJson, ...]


class SignedInAnswer(Output, frozen=True):
    """Which members are there depends on the strategy and the carrier."""

    account: AccountJson
    session: SessionJson
    access_token: str | UnsetType = UNSET
    token_type: Literal["Bearer"] | UnsetType = UNSET
    expires_in: Seconds | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
    refresh_token_expires_in: Seconds | UnsetType = UNSET
    csrf_token: str | UnsetType = UNSET


class Revoked(Output, frozen=True):
    revoked: Annotated[int, Meta(description="How many sessions were ended.", ge=0)]


def session_json(session: Session, *, current: str | None, places: Places) -> SessionJson:
    """A session as its owner sees it.

    Args:
        session: the row.
        current: the id of the session that asks, or None.
        places: names where it was started from.
    """
    return SessionJson(
        id=session.id,
        created_at=write_time(session.created_at),
        last_seen_at=write_time(session.last_seen_at),
        idle_expires_at=write_time(session.idle_expires_at),
        expires_at=write_time(session.expires_at),
        label=session.label,
        ip=session.origin.ip,
        user_agent=session.origin.user_agent,
        location=places.name_of(session.origin.ip),
        methods=session.methods,
        current=session.id == current,
    )


# The revocation feed


class Digests(Output, frozen=True):
    as_of: Annotated[Time, Meta(description="When the store was last read whole, by its clock.")]
    now: Annotated[Time, Meta(description="What the store's clock says now.")]
    digests: Annotated[
        dict[str, str], Meta(description="By the minute since the epoch in which entries die: a sum of their hashes.")
    ]


# Tokens


class Form(Struct, frozen=True, kw_only=True):
    """What an OAuth client sends: unknown parameters are ignored (RFC 6749 section 3.2)."""


class RefreshForm(Form, frozen=True):
    grant_type: Literal["refresh_token"]
    refresh_token: Annotated[str, Meta(description="Left out where the refresh cookie is sent.")] | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    optional: (
        Annotated[Literal["true"], Meta(description="Answer 204 instead of 400 where there is no refresh token.")]
        | UnsetType
    ) = UNSET


class TokenForm(Form, frozen=True):
    token: Annotated[str, Meta(min_length=1)]
    token_type_hint: str | UnsetType = UNSET


class TokenAnswer(Output, frozen=True):
    """The refresh token is in its cookie alone where it came in its cookie."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Seconds
    refresh_token_expires_in: Seconds
    scope: str
    refresh_token: str | UnsetType = UNSET


class Introspection(Struct, frozen=True, kw_only=True):
    """RFC 7662 section 2.2; of a token that is not active, ``active`` alone."""

    active: bool
    token_type: str | UnsetType = UNSET
    iss: str | UnsetType = UNSET
    sub: str | UnsetType = UNSET
    aud: str | tuple[str, ...] | UnsetType = UNSET
    exp: int | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    jti: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    sid: str | UnsetType = UNSET
    auth_time: int | UnsetType = UNSET
    amr: tuple[str, ...] | UnsetType = UNSET
    roles: tuple[str, ...] | UnsetType = UNSET
    scope: str | UnsetType = UNSET


# Administration


class AccountChangeJson(Input, frozen=True):
    roles: tuple[str, ...] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    name: str | UnsetType = UNSET


class AccountQuery(Input, frozen=True):
    query: Annotated[str, Meta(description="A part of the e-mail address or the name; or an id.", max_length=1000)] = ""
    limit: Limit = 50
    cursor: Cursor | UnsetType = UNSET


class AuditQuery(Input, frozen=True):
    account: Annotated[str, Meta(max_length=100)] | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    limit: Limit = 50
    cursor: Cursor | UnsetType = UNSET


class AdminAccountJson(AccountJson, frozen=True):
    disabled: bool


class AdminAccountAnswer(Output, frozen=True):
    account: AdminAccountJson


class AccountList(Output, frozen=True):
    accounts: tuple[AdminAccountJson, ...]
    next_cursor: str | None


class ActorJson(Output, frozen=True):
    name: str | None
    ip: str | None
    user_agent: str | None


class AuditEventJson(Output, frozen=True):
    id: str
    at: Time
    action: Action
    account: str | None
    session: str | None
    actor: ActorJson
    detail: dict[str, str | int | bool | None]


class AuditList(Output, frozen=True):
    events: tuple[AuditEventJson, ...]
    next_cursor: str | None


def admin_account_json(account: Account) -> AdminAccountJson:
    return AdminAccountJson(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        name=account.name,
        roles=account.roles,
        created_at=write_time(account.created_at),
        disabled=account.disabled_at is not None,
    )


def audit_event_json(event: AuditEvent) -> AuditEventJson:
    if event.at is None or event.id is None:
        raise ValueError("an event of the trail has its place and time")
    return AuditEventJson(
        id=str(event.id),
        at=write_time(event.at),
        action=event.action,
        account=event.account,
        session=event.session,
        actor=ActorJson(name=event.actor.name, ip=event.actor.origin.ip, user_agent=event.actor.origin.user_agent),
        detail=dict(event.detail),
    )


# Operations and discovery


class Health(Output, frozen=True):
    status: Literal["ok"]


class Metadata(Output, frozen=True):
    """RFC 8414 and OpenID Connect Discovery 1.0."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    grant_types_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...]
    subject_types_supported: tuple[str, ...]
    id_token_signing_alg_values_supported: tuple[str, ...]
    token_endpoint_auth_methods_supported: tuple[str, ...]
    revocation_endpoint_auth_methods_supported: tuple[str, ...]
    introspection_endpoint_auth_methods_supported: tuple[str, ...]
    scopes_supported: tuple[str, ...] | UnsetType = UNSET


class KeySet(Output, frozen=True):
    """RFC 7517."""

    keys: tuple[dict[str, Any], ...]


# Errors


class FieldErrorJson(Output, frozen=True):
    field: str
    message: str


class ProblemJson(Output, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str | UnsetType = UNSET
    check: str | UnsetType = UNSET
    errors: tuple[FieldErrorJson, ...] | UnsetType = UNSET
    advice: tuple[str, ...] | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET
    dependency: str | UnsetType = UNSET


class OAuthErrorJson(Output, frozen=True):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str
    code: str
    reason: str | UnsetType = UNSET
    check: str | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET
