"""The bearer credential of the ``Authorization`` header (RFC 6750 section 2.1)."""

from __future__ import annotations

import re

from doorward.errors import InvalidToken
from doorward.secret import Secret

LONGEST_CREDENTIAL = 8 * 1024
"""No header credential of ours comes near; what is longer is not looked at."""

# Visible ASCII.  Wider than RFC 6750's b64token, since an admin key may hold any of it; what the value means is
# judged by whoever verifies it.
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


def parse_authorization(header: str | None) -> Secret | None:
    """The bearer value of an ``Authorization`` header; None without a header or with another scheme.

    Another scheme is somebody else's business: a proxy may keep its Basic credential there.

    Raises:
        InvalidToken: it is a bearer credential that cannot be one of ours, or it is too long.
    """
    if header is None:
        return None
    if len(header) > LONGEST_CREDENTIAL:
        raise InvalidToken("the Authorization header is too long")
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    value = value.strip(" ")
    # Two headers arrive joined by a comma and a space: they are refused here too.
    if _VISIBLE.fullmatch(value) is None:
        raise InvalidToken("the bearer credential is malformed")
    return Secret(value)
