"""Numbering sessions for the status lists, and handing the lists out."""

from __future__ import annotations

from doorward.deployment import Deployment
from doorward.errors import NotFound
from doorward.tokens.status_list import BLOCK, SIZE, SignedList, sign_status_list


async def take_number(deployment: Deployment) -> int | None:
    """A number for a new session, or None where there are no status lists.

    In any order: neighbours in a list say nothing of who signed in after whom.
    """
    if not deployment.options.status_lists:
        return None
    # Again where other threads have taken all that this one reserved.
    while (number := deployment.statuses.take()) is None:
        first = await deployment.store.reserve_numbers(BLOCK)
        drawn = sorted((deployment.entropy(8), each) for each in range(first, first + BLOCK))
        deployment.statuses.free.extend(each for _, each in drawn)
    return number


async def read_status_list(deployment: Deployment, number: int) -> str:
    """A list, signed; at most as old as ``max_staleness``.

    Raises:
        NotFound: no session has a number in it.
    """
    now, ticks = deployment.clock(), deployment.ticks()
    known = deployment.statuses.signed.get(number)
    if known is not None and _is_recent(deployment, known.asked_at):
        return known.text
    if not await _is_given(deployment, number):
        raise NotFound
    text = sign_status_list(
        number,
        await deployment.store.ended_numbers(number * SIZE, SIZE),
        deployment.desk.signing_key,
        issuer=deployment.options.issuer,
        ttl=deployment.options.max_staleness,
        now=now,
    )
    deployment.statuses.remember(number, SignedList(text=text, asked_at=ticks))
    return text


async def _is_given(deployment: Deployment, number: int) -> bool:
    """Whether there is such a list; whoever asks for others costs one look-up in a while."""
    if not deployment.options.status_lists or number < 0:
        return False
    statuses = deployment.statuses
    if number * SIZE >= statuses.given and not _is_recent(deployment, statuses.asked_at):
        statuses.asked_at = deployment.ticks()
        statuses.given = await deployment.store.reserve_numbers(0)
    return number * SIZE < statuses.given


def _is_recent(deployment: Deployment, asked_at: float | None) -> bool:
    return asked_at is not None and deployment.ticks() - asked_at < deployment.options.max_staleness.total_seconds()
