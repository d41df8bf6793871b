"""Callers with a session each, on one store, in one event loop: for look-ups and for rotations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.measuring import Part, a_second, in_turns
from doorward.audit.model import Actor
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.sessions.model import Session
from doorward.stores.sql.rotation import Rotate
from doorward.stores.sql.store import SqlStore
from doorward.testing.store_suite.case import sign_up, start

Operation = Callable[[int], Awaitable[object]]

_NOTHING = timedelta(0)
_POLICY = RefreshPolicy(
    grace=_NOTHING, rest=_NOTHING, window=_NOTHING, idle=timedelta(hours=12), idle_remembered=timedelta(days=14)
)
_ACTOR = Actor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        at_once: callers.
        rounds: of each way.
        seconds: how long one takes.
    """

    at_once: Sequence[int] = (1, 16, 64)
    rounds: int = 5
    seconds: float = 0.3


QUICK = Plan(at_once=(1, 32), rounds=1, seconds=0.05)


class Clients:
    """Callers with a session each, whose tokens they present one after the other."""

    def __init__(self, sessions: Sequence[Session], spare: Sequence[Session]) -> None:
        self.sessions = sessions
        self.spare = spare
        """Whose rows a statement may write that is none of ours."""
        self._generations = [session.generation for session in sessions]

    def key(self, number: int) -> int:
        return self.sessions[number].key

    def asked(self, number: int) -> Rotate:
        session = self.sessions[number]
        presented = Presentation(key=session.key, generation=self._generations[number], secret_hash=session.secret_hash)
        return Rotate(presented=presented, policy=_POLICY, actor=_ACTOR)

    def took(self, number: int, found: object) -> None:
        assert isinstance(found, Taken), found
        self._generations[number] = found.session.generation


async def clients_of(store: SqlStore, plan: Plan) -> Clients:
    await sign_up(store)
    most = max(plan.at_once)
    sessions = [await start(store, number + 1) for number in range(2 * most)]
    return Clients(sessions[:most], sessions[most:])


def rotating(clients: Clients, run: Callable[[Rotate], Awaitable[object]]) -> Operation:
    async def operation(number: int) -> None:
        clients.took(number, await run(clients.asked(number)))

    return operation


async def compare(title: str, ways: Mapping[str, Operation], plan: Plan, *, at_once: int) -> Part:
    rounds = {name: a_second(way, at_once=at_once, seconds=plan.seconds) for name, way in ways.items()}
    return await in_turns(f"{title}, {at_once} at once", rounds, rounds=plan.rounds)


async def as_it_is(_: object) -> None:
    """Nothing is left behind on a connection of asyncpg; to ask for it would be another way to the engine."""
