"""Replicas that each get one thing wrong, and a history in which it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from doorward.verifier import replica as module
from doorward.verifier.issuer_clock import IssuerClock
from doorward.verifier.replica import Replica, Unchanged
from doorward.wire.feed import Event, Heartbeat, Reading, Revoked, Snapshot
from tests.verifier.world import SKEW, World

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class HeartbeatsCount(Replica):
    def receive(self, event: Event, *, at: float, wall: datetime) -> None:
        super().receive(event, at=at, wall=wall)
        if isinstance(event.frame, Heartbeat):
            self.freshness.note(asked_at=at, lag=event.frame.reading.lag)


class SnapshotsAreInstalled(Replica):
    def receive(self, event: Event, *, at: float, wall: datetime) -> None:
        if isinstance(event.frame, Snapshot):
            self.live.expire(now=datetime.max.replace(tzinfo=wall.tzinfo))
        super().receive(event, at=at, wall=wall)


class FreshFromWhenItWasAnswered(Replica):
    def answered(self, answer: Heartbeat | Unchanged, *, asked_at: float, at: float, wall: datetime) -> None:
        super().answered(answer, asked_at=at, at=at, wall=wall)


class TheServersLagIsIgnored(Replica):
    def _note(self, reading: Reading, *, asked_at: float, at: float, wall: datetime) -> bool:
        return super()._note(Reading(as_of=reading.now, now=reading.now), asked_at=asked_at, at=at, wall=wall)


class AnyDigestWillDo(Replica):
    def answered(self, answer: Heartbeat | Unchanged, *, asked_at: float, at: float, wall: datetime) -> None:
        super().answered(answer, asked_at=asked_at, at=at, wall=wall)
        if self.freshness.known_as_of is not None:
            self.freshness.note(asked_at=asked_at, lag=answer.reading.lag)


class ADigestClosesAnyGap(Replica):
    def answered(self, answer: Heartbeat | Unchanged, *, asked_at: float, at: float, wall: datetime) -> None:
        covered, module.COVERED = module.COVERED, timedelta(days=1)
        try:
            super().answered(answer, asked_at=asked_at, at=at, wall=wall)
        finally:
            module.COVERED = covered


class ColdIsFresh(Replica):
    def answered(self, answer: Heartbeat | Unchanged, *, asked_at: float, at: float, wall: datetime) -> None:
        if self.freshness.known_as_of is None and isinstance(answer, Heartbeat):
            self.freshness.note(asked_at=asked_at, lag=answer.reading.lag)
        super().answered(answer, asked_at=asked_at, at=at, wall=wall)


class EntriesDieByThisMachinesClock(Replica):
    def expire(self, *, at: float, wall: datetime) -> None:
        self.live.expire(now=wall)


class TheLastOneHolds(Replica):
    def receive(self, event: Event, *, at: float, wall: datetime) -> None:
        super().receive(event, at=at, wall=wall)
        if isinstance(event.frame, Revoked):
            for entry in event.frame.revocations:
                self.live._entries[entry.kind, entry.id] = entry
                self.live._index(entry.kind)[entry.id] = entry.value


class _BlindClock(IssuerClock):
    def is_ahead(self, *, at: float, wall: datetime) -> bool:
        return False


class AClockThatIsBehindIsTrusted(Replica):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.issuer_clock = _BlindClock(skew=SKEW)


class StaleKnowledgeIsKeptByItsId(Replica):
    """Asks to resume where it was, though what it holds differs."""

    def connecting(self, *, at: float) -> str | None:
        super().connecting(at=at)
        return "a0-0"

    def _resync(self, at: float) -> None:
        """It goes on as it is."""


# Histories


def _a_steady_delay(world: World) -> None:
    world.wait(5 * SECOND)
    world.stream_way = 20 * SECOND  # the stream flows, and is late
    world.way = 2 * MINUTE  # no question is answered in time
    world.wait(30 * SECOND)
    world.end(announced=(0, 1))
    world.wait(15 * SECOND)


def _another_server_has_not_heard(world: World) -> None:
    world.balanced = 0
    world.wait(5 * SECOND)
    world.servers[1].reaches_store = False
    world.end(announced=(0,))
    world.wait(3 * SECOND)
    world.balanced = 1
    world.cut()
    # The other one's knowledge is as old as it says, so that nothing is fresh by it for long; but what was known stays.
    world.wait(3 * SECOND)
    world.servers[1].reaches_store = True
    world.servers[1].live.expire(now=datetime.max.replace(tzinfo=world.now.tzinfo))
    assert "s1" in world.replica.live.sessions, "what was known is not known any more"


def _slow_answers(world: World) -> None:
    world.wait(5 * SECOND)
    world.stream_way = 30 * SECOND
    world.way = timedelta(seconds=2.25)
    world.wait(8 * SECOND)
    for _ in range(20):
        world.end(announced=(0, 1))
        world.wait(timedelta(seconds=0.5))
    world.wait(20 * SECOND)


def _a_server_is_cut_off_from_its_store(world: World) -> None:
    world.balanced = 0
    world.wait(5 * SECOND)
    world.servers[0].reaches_store = False
    world.end()
    world.wait(20 * SECOND)


def _a_stream_that_stands_still(world: World) -> None:
    world.wait(5 * SECOND)
    world.stream_up = False
    world.end(announced=(0, 1))
    world.wait(20 * SECOND)


def _a_quarter_of_an_hour_away(world: World) -> None:
    world.wait(5 * SECOND)
    world.stream_up = world.questions_up = False
    world.cut()
    world.wait(SECOND)
    world.end()
    world.sleep(15 * MINUTE)
    world.questions_up = True
    world.wait(25 * SECOND)


def _the_first_answer_comes_before_the_snapshot(world: World) -> None:
    world.stream_up = world.questions_up = False
    world.end()
    world.wait(8 * SECOND)
    world.questions_up = True
    world.wait(5 * SECOND)


def _the_clock_is_set_forward_and_back(world: World) -> None:
    world.wait(5 * SECOND)
    world.end()
    world.wait(3 * SECOND)
    world.wall_offset = 60 * MINUTE
    world.wait(12 * SECOND)
    world.wall_offset = timedelta()
    world.stream_up = False
    world.questions_up = False
    world.wait(SECOND)
    world.check()
    assert "s1" in world.replica.live.sessions, "an entry has gone before its death"


def _the_clock_is_set_back(world: World) -> None:
    world.wait(5 * SECOND)
    world.end()
    world.wait(3 * SECOND)
    world.sleep(18 * MINUTE)
    world.wait(20 * SECOND)
    world.wall_offset = -10 * MINUTE
    world.wait(5 * SECOND)


def _an_hour_of_sleep(world: World) -> None:
    world.wait(5 * SECOND)
    world.questions_up = world.stream_up = False
    world.sleep(2 * MINUTE)
    world.end()
    world.sleep(2 * MINUTE)
    world.wait(SECOND)


def _the_store_is_put_back(world: World) -> None:
    world.balanced = 1
    world.wait(5 * SECOND)
    world.servers[1].reaches_store = False
    world.end(announced=(0,))
    world.wait(SECOND)
    world.put_back(MINUTE)
    world.servers[1].reaches_store = True
    world.wait(20 * SECOND)


def _two_versions_arrive_the_wrong_way_round(world: World) -> None:
    world.wait(5 * SECOND)
    first = world.end_account("ada")
    world.stream_way = 2 * SECOND
    second = world.end_account("ada")
    world.announce(second, 0)
    world.announce(second, 1)
    world.wait(SECOND)
    assert world.stream is not None
    world.stream.in_flight.append((world.now, world.stream.server.event(Revoked(revocations=(first.entry,)))))
    world.wait(20 * SECOND)


def _a_server_forgets_to_tell(world: World) -> None:
    world.balanced = 0
    world.wait(5 * SECOND)
    ended = world.end()
    world.servers[0].live.merge([ended.entry])  # it knows, and the stream never says so
    world.wait(10 * SECOND)
    world.heal()
    world.check_converged()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong, and the history in which it shows."""

    told: Callable[[World], None]
    replica: type[Replica] = Replica
    ticks_stop_in_sleep: bool = False
    writes_back: bool = True

    def world(self, *, sound: bool) -> World:
        if sound:
            return World()
        return World(self.replica, ticks_stop_in_sleep=self.ticks_stop_in_sleep, writes_back=self.writes_back)


MISTAKES = {
    "heartbeats without a question": Mistake(replica=HeartbeatsCount, told=_a_steady_delay),
    "a snapshot installed and not merged": Mistake(replica=SnapshotsAreInstalled, told=_another_server_has_not_heard),
    "as fresh as the answer, not as the question": Mistake(replica=FreshFromWhenItWasAnswered, told=_slow_answers),
    "the server's own lag left out": Mistake(replica=TheServersLagIsIgnored, told=_a_server_is_cut_off_from_its_store),
    "digests that differ taken for good": Mistake(replica=AnyDigestWillDo, told=_a_stream_that_stands_still),
    "digests that close any gap": Mistake(replica=ADigestClosesAnyGap, told=_a_quarter_of_an_hour_away),
    "fresh before the first snapshot": Mistake(replica=ColdIsFresh, told=_the_first_answer_comes_before_the_snapshot),
    "entries that die by this machine's clock": Mistake(
        replica=EntriesDieByThisMachinesClock, told=_the_clock_is_set_forward_and_back
    ),
    "a clock that is behind, trusted": Mistake(replica=AClockThatIsBehindIsTrusted, told=_the_clock_is_set_back),
    "ticks that stop while the machine sleeps": Mistake(ticks_stop_in_sleep=True, told=_an_hour_of_sleep),
    "a store that is given nothing back": Mistake(writes_back=False, told=_the_store_is_put_back),
    "what comes last replaces what came before": Mistake(
        replica=TheLastOneHolds, told=_two_versions_arrive_the_wrong_way_round
    ),
    "never asking for a snapshot again": Mistake(replica=StaleKnowledgeIsKeptByItsId, told=_a_server_forgets_to_tell),
}
