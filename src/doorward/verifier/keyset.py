"""The issuer's keys, and when they are fetched again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from doorward.keys.model import InvalidKey, VerificationKey, import_verification_key

KEY_SET_PATH = "/.well-known/jwks.json"
LARGEST_KEY_SET = 256 * 1024
_MOST_KEYS = 100

COOL_DOWN = timedelta(seconds=10)
"""At least so long passes between two fetches, however many tokens name a key that nobody knows."""

REFRESH = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT_WITHOUT_KEYS = timedelta(seconds=10)
"""As for the stream: until there are keys nobody is let in."""

_ASYMMETRIC = frozenset({"EC", "RSA", "OKP"})


class UnusableKeySet(ValueError):
    """What arrived holds no key to verify with; what was known before stays."""


def parse_key_set(body: bytes) -> dict[str, VerificationKey]:
    """Read a JWK set (RFC 7517 section 5).

    A key that we cannot use is passed over, as the section asks; so is a symmetric one, which has no business in
    public, and a ``kid`` that two keys share, since nobody could say which is meant.

    Returns:
        the keys by ``kid``; at least one.

    Raises:
        UnusableKeySet: there is none, or more than a hundred.
    """
    found: dict[str, VerificationKey] = {}
    shared: set[str] = set()
    for jwk in _members(body):
        try:
            key = import_verification_key(jwk)
        except InvalidKey:
            continue
        if key.kid in found:
            shared.add(key.kid)
        found[key.kid] = key
    usable = {kid: key for kid, key in found.items() if kid not in shared}
    if not usable:
        raise UnusableKeySet("the key set has no key that can be used")
    return usable


def _members(body: bytes) -> list[Mapping[str, Any]]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UnusableKeySet("the key set is not JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > _MOST_KEYS:
        raise UnusableKeySet("the key set has no list of keys, or a list of more than a hundred")
    return [each for each in keys if isinstance(each, dict) and str(each.get("kty")) in _ASYMMETRIC]


class KeySchedule:
    """When the key set is fetched: now and then, when the feed says so, and when a token names an unknown key.

    ``at`` is ticks, as in `Replica`.
    """

    def __init__(self, *, chance: Callable[[], float]) -> None:
        self.fetch_at = 0.0
        self._chance = chance
        self._earliest = 0.0
        self._failures = 0

    def want(self, *, at: float) -> bool:
        """Somebody has reason to think that there are new keys.  Returns whether that changed when they are fetched."""
        wanted = max(at, self._earliest)
        sooner = wanted < self.fetch_at
        self.fetch_at = min(self.fetch_at, wanted)
        return sooner

    def fetching(self, *, at: float) -> None:
        """They are being fetched."""
        self._earliest = at + COOL_DOWN.total_seconds()
        self.fetch_at = at + REFRESH.total_seconds() * (0.9 + 0.1 * self._chance())

    def fetched(self) -> None:
        self._failures = 0

    def failed(self, *, at: float, known: bool) -> None:
        """They could not be had.

        Args:
            at: ticks.
            known: whether there are others from before, so that it is not urgent.
        """
        bound = _LONGEST_WAIT if known else _LONGEST_WAIT_WITHOUT_KEYS
        longest = min(0.2 * 2.0**self._failures, bound.total_seconds())
        self._failures = min(self._failures + 1, 30)
        self.fetch_at = at + (0.5 + 0.5 * self._chance()) * longest
        if known:
            self.fetch_at = max(self.fetch_at, self._earliest)
