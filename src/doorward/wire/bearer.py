"""The ``Authorization`` header: a bearer credential (RFC 6750 section 2.1), or a client's (RFC 6749 section 2.3.1)."""

from __future__ import annotations

import re
from base64 import b64decode
from urllib.parse import unquote_plus

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


def parse_client_credentials(header: str | None) -> tuple[str, Secret] | None:
    """Name and secret of a client that authenticates by HTTP Basic; None without a header or with another scheme.

    Both are encoded as in a form before they are joined, which most clients leave out; of ours it changes nothing.

    Raises:
        InvalidToken: it is malformed, or too long.

    RFC 6749 section 2.3.1; RFC 7617 section 2.
    """
    if header is None or header[:6].lower() != "basic ":
        return None
    if len(header) > LONGEST_CREDENTIAL:
        raise InvalidToken("the Authorization header is too long")
    try:
        name, colon, secret = b64decode(header[6:].strip(" "), validate=True).decode("utf-8").partition(":")
        name, secret = unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        raise InvalidToken("the Basic credential is malformed") from None
    if not colon:
        raise InvalidToken("the Basic credential has no colon")
    return name, Secret(secret)
