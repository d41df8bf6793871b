"""A value that must not leak: redacted wherever Python would print it, and never compared with ``==``."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn


class Secret:
    """Text that authenticates somebody.

    ``reveal()`` is the one way to the text, so that every place that needs it can be found by its name.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def matches(self, other: Secret) -> bool:
        """Compare in constant time."""
        # What arrives may hold half a surrogate pair; it matches nothing, and is no error.
        mine, theirs = (secret.reveal().encode(errors="surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        # ``==`` on a secret leaks its length and prefix by time; the mistake is refused instead of answered.
        raise TypeError("compare secrets with Secret.matches, not with ==")

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key: key by its hash

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __getstate__(self) -> Any:
        raise TypeError("a Secret is not pickled")
