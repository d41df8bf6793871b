"""Which pages elsewhere may read answers (CORS): those of ``cors_origins``, with credentials; public ones, anybody."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from doorward.http.message import Header

_ALLOWED_HEADERS = "authorization, content-type, idempotency-key, x-csrf-token"
_EXPOSED_HEADERS = "retry-after, www-authenticate"
_PREFLIGHT_SECONDS = "600"
_VARY: Header = ("vary", "origin")
_ANYBODY: Header = ("access-control-allow-origin", "*")


def cors_headers(origin: str | None, *, allowed: Collection[str], public: bool) -> list[Header]:
    """What an answer says about who may read it.

    Args:
        origin: the ``Origin`` header, or None.
        allowed: the origins that may call with credentials.
        public: whether the answer is the same for everybody and no secret, such as a key set.
    """
    if origin is not None and origin in allowed:
        return [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", _EXPOSED_HEADERS),
            _VARY,
        ]
    # A cache that keeps the answer to one origin must not give it to another, with or without an Origin.
    varies = [_VARY] if allowed else []
    # Without credentials: "*" beside them would let any page read what a cookie opens.
    return [_ANYBODY, *varies] if public else varies


def preflight_headers(
    origin: str | None, *, allowed: Collection[str], public: bool, methods: Sequence[str]
) -> list[Header]:
    """What the answer to a preflight says beside ``cors_headers``: nothing unless the origin may call."""
    if not public and (origin is None or origin not in allowed):
        return []
    return [
        ("access-control-allow-methods", ", ".join(methods)),
        ("access-control-allow-headers", _ALLOWED_HEADERS),
        ("access-control-max-age", _PREFLIGHT_SECONDS),
    ]
