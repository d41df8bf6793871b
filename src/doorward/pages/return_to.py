"""Where a person is sent after signing in or out: only to places that the deployment has named (CWE-601)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from doorward.http.csrf import origin_of

LONGEST = 2000

# What RFC 3986 allows and nothing else: no space, no control character, no backslash, which browsers read as a slash.
_SIGNS = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_ORIGIN = r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
# Two slashes at the beginning name a host.
_PATH = re.compile(rf"/(?!/){_SIGNS}*")
# After the origin comes its end: what else could follow would make the host another one, or a user's name.
_ADDRESS = re.compile(rf"(?P<origin>{_ORIGIN})(?:[/?#]{_SIGNS}*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnTo:
    """A place that somebody may be sent to.

    Args:
        address: a page of ours, a path of our own origin, or an address elsewhere.
        origin: of an address elsewhere, or None.
    """

    address: str
    origin: str | None = None


def parse_return_to(text: str | None, *, pages: Collection[str], origins: Collection[str]) -> ReturnTo | None:
    """The place that is meant, or None where nobody is sent there.

    Args:
        text: as it stood in the query.
        pages: our own, by their names.
        origins: that addresses may have.
    """
    if text is None or len(text) > LONGEST:
        return None
    if text in pages or _PATH.fullmatch(text):
        return ReturnTo(address=text)
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    parts = urlsplit(found["origin"])
    origin = origin_of(parts.scheme, parts.netloc)
    return ReturnTo(address=text, origin=origin) if origin in origins else None
