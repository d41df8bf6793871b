"""Status lists: one bit a session, for readers that can hold no connection (draft-ietf-oauth-status-list-21).

A content delivery network keeps the list, and an edge or a serverless function asks it with nothing but HTTP.  A bit is
set once the session that a token is a lease on is over.  A change of roles sets none: the session goes on, and its
tokens say the old roles until they expire; the revocation feed knows of that.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from doorward.keys.model import SigningKey
from doorward.tokens.access import Status, StatusReference, sign_compact
from doorward.wire import base64url

MEDIA_TYPE = "statuslist+jwt"
CONTENT_TYPE = f"application/{MEDIA_TYPE}"

SIZE = 1 << 16
"""How many sessions share a list: 8 KiB before it is compressed."""

BLOCK = 1 << 10
"""How many numbers a server takes at a time."""

GOOD_FOR = timedelta(hours=1)
"""How long a list may be relied on at the very most (claim ``exp``); ``ttl`` says when to ask for the next."""


MOST_REMEMBERED = 1_000
"""How many lists a process keeps as it signed them: about 10 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """A list as it is handed out.

    Args:
        text: the token.
        asked_at: this machine's ticks before the sessions were read.
    """

    text: str
    asked_at: float


@dataclass(slots=True)
class Statuses:
    """What one process knows of the status lists.

    Args:
        free: numbers that it may give to sessions.
        signed: the lists that it has signed, those that were signed last at the end.
        given: how many numbers have been taken by all processes, as far as it knows.
        asked_at: this machine's ticks when it last found that out.
        process: whose numbers the free ones are.
    """

    free: list[int] = field(default_factory=list)
    signed: OrderedDict[int, SignedList] = field(default_factory=OrderedDict)
    given: int = 0
    asked_at: float | None = None
    process: int = field(default_factory=os.getpid)

    def take(self) -> int | None:
        """A free number that nobody else has, or None: reserve some."""
        if self.process != os.getpid():
            # Forked: all that were free are the parent's too, and two sessions with one number would end together.
            self.free, self.process = [], os.getpid()
        try:
            return self.free.pop()
        except IndexError:
            return None

    def remember(self, number: int, signed: SignedList) -> None:
        """Keep a list, and let the one go that was signed first where there are too many."""
        self.signed[number] = signed
        self.signed.move_to_end(number)
        if len(self.signed) > MOST_REMEMBERED:
            self.signed.popitem(last=False)


class StatusListClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a status list token says (section 5.1).

    Args:
        sub: the address of the list, as tokens refer to it.
        ttl: how long a copy may be kept before it is asked for again, in seconds.
    """

    iss: str
    sub: str
    iat: int
    exp: int
    ttl: int
    status_list: StatusList


class StatusList(msgspec.Struct, frozen=True, kw_only=True):
    """The bits, compressed (section 4.2)."""

    bits: int
    lst: str


def uri_of(number: int, *, issuer: str) -> str:
    """The address of a list."""
    return f"{issuer.rstrip('/')}/v1/status/{number}"


def refer(number: int, *, issuer: str) -> Status:
    """The claim ``status`` of tokens of the session with this number (section 6.2)."""
    of, index = divmod(number, SIZE)
    return Status(status_list=StatusReference(idx=index, uri=uri_of(of, issuer=issuer)))


def compress(indices: Iterable[int], *, size: int = SIZE) -> StatusList:
    """A list of one bit each, in which these are set.

    The first token has the least significant bit of the first byte (section 4.1).
    """
    bits = bytearray(size // 8)
    for index in indices:
        bits[index >> 3] |= 1 << (index & 7)
    return StatusList(bits=1, lst=base64url.encode(zlib.compress(bytes(bits), 9)))


def sign_status_list(
    number: int, ended: Iterable[int], key: SigningKey, *, issuer: str, ttl: timedelta, now: datetime
) -> str:
    """Make the token of a list.

    Args:
        number: of the list, from 0.
        ended: the numbers of the sessions of this list that are over.
        key: what access tokens are signed with too; ``typ`` keeps the two apart.
        issuer: of the deployment.
        ttl: how long a copy may be kept.
        now: the instant *before* the sessions were read.
    """
    issued_at = int(now.timestamp())
    claims = StatusListClaims(
        iss=issuer,
        sub=uri_of(number, issuer=issuer),
        iat=issued_at,
        exp=issued_at + int(GOOD_FOR.total_seconds()),
        ttl=int(ttl.total_seconds()),
        status_list=compress(each - number * SIZE for each in ended),
    )
    return sign_compact(msgspec.json.encode(claims), media_type=MEDIA_TYPE, key=key)
