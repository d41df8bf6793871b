"""What servers on one store tell each other when they have revoked something.

JSON of at most 7,900 bytes, ``[[kind, id, value, microseconds since the epoch], ...]``; empty text where it would be
longer: then everything is worth reading.  A hint between servers of one deployment, of one version or the next: what is
not understood is taken for empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from doorward.revocation.model import Kind, Revocation

CHANNEL = "doorward_revoked"

LONGEST = 7_900
"""Bytes.  PostgreSQL takes less than 8,000."""

LONGEST_LIFE = timedelta(days=2)
"""An entry that dies later is none of ours: no access token lives so long."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[Kind, _Name, Annotated[int, msgspec.Meta(ge=0, lt=2**31)], int]]).decode


def write_announcement(revocations: Sequence[Revocation]) -> str:
    entries = [(str(each.kind), each.id, each.value, (each.dies_at - _EPOCH) // _TICK) for each in revocations]
    text = _encode(entries)
    return text.decode() if len(text) <= LONGEST else ""


def parse_announcement(text: str, *, now: datetime) -> tuple[Revocation, ...] | None:
    """What was revoked; None where it is not told, or not understood: read everything.

    Args:
        text: whatever arrived; anybody who may connect to the store can say something.
        now: of this machine.
    """
    try:
        entries = tuple(
            Revocation(kind=kind, id=name, value=value, dies_at=_EPOCH + microseconds * _TICK)
            for kind, name, value, microseconds in _decode(text)
        )
    except (msgspec.MsgspecError, OverflowError, RecursionError):
        return None
    # Merged, it would stay as long as it says.
    return None if any(entry.dies_at > now + LONGEST_LIFE for entry in entries) else entries
