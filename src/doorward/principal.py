"""What a request is made by: the one thing that an application asks Doorward for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import msgspec

from doorward.errors import NotPermitted

Carrier = Literal["cookie", "token"]
"""How a session travels: in a cookie that the browser keeps, or as tokens that the client keeps."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request, the same under every strategy.

    A struct and no dataclass: one is made for every token that is new, and a frozen dataclass takes ten times as long.

    Args:
        subject: the account's id (claim ``sub``).
        session_id: the public id of the session (claim ``sid``).
        client_id: the client that the session was started through.
        roles: what the account is.
        scopes: what the credential allows.
        methods: how the subject proved itself, RFC 8176 values (claim ``amr``).
        authenticated_at: when it did, UTC (claim ``auth_time``).
        expires_at: when the credential stops being accepted unless it is renewed, UTC.
        carrier: how the credential came.
    """

    subject: str
    session_id: str
    client_id: str
    roles: frozenset[str]
    scopes: frozenset[str]
    methods: tuple[str, ...]
    authenticated_at: datetime
    expires_at: datetime
    carrier: Carrier

    def allows(self, *, roles: Collection[str] = (), scopes: Collection[str] = ()) -> bool:
        """Whether the principal has all of the given roles and scopes."""
        return self.roles.issuperset(roles) and self.scopes.issuperset(scopes)

    def require(self, *, roles: Collection[str] = (), scopes: Collection[str] = ()) -> None:
        """Raises NotPermitted unless the principal has all of the given roles and scopes."""
        if not self.allows(roles=roles):
            raise NotPermitted
        if not self.allows(scopes=scopes):
            raise NotPermitted(scopes=scopes)
