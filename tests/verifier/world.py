"""A store, two servers, a network that does what networks do, and one verifier; time moves when it is told to."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.verifier.replica import Replica, State, Topic
from doorward.wire.feed import DIGEST_MARGIN, Event, Frame, Heartbeat, Reading, Revoked, Snapshot

STEP = 0.25
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAX_STALENESS = timedelta(seconds=5)
SKEW = timedelta(seconds=60)
LIFETIME = timedelta(seconds=900)
READ_EACH = BEAT_EACH = 1.0
GIVES_UP_AFTER = 5.0


@dataclass
class Ended:
    """A session that has ended: its entry, when that committed, and until when its last token would live."""

    entry: Revocation
    committed_at: datetime
    exp: datetime


@dataclass
class Server:
    name: str
    up: bool = True
    reaches_store: bool = True
    live: LiveSet = field(default_factory=LiveSet)
    as_of: datetime | None = None
    read_at: datetime | None = None
    started: int = 0
    number: int = 0

    def event(self, frame: Frame) -> Event:
        numbered = not isinstance(frame, Heartbeat)
        return Event(frame=frame, id=f"{self.name}{self.started}-{self.number}" if numbered else None)


@dataclass
class Stream:
    server: Server
    life: int  # of the server: it dies with it
    last_id: str | None
    arrives_at: datetime  # the request, at the server
    begun: bool = False
    beat_at: datetime = NOON
    in_flight: deque[tuple[datetime, Event]] = field(default_factory=deque)


@dataclass
class Question:
    asked_ticks: float
    asked_at: datetime
    server: Server
    arrives_at: datetime
    answer: Heartbeat | None = None
    returns_at: datetime | None = None


class World:
    """Servers as the protocol has them, and a verifier: a `Replica` with a driver that does what it says.

    Args:
        replica: the kind of replica, which may be a mistaken one.
        ticks_stop_in_sleep: use a clock that a suspended machine stops.
    """

    def __init__(self, replica: type[Replica] = Replica, *, seed: int = 0, ticks_stop_in_sleep: bool = False) -> None:
        self.chance = random.Random(seed)
        self.now = NOON
        self.wall_offset = timedelta()
        self.slept = timedelta()
        self.ticks_stop_in_sleep = ticks_stop_in_sleep
        self.committed: list[Ended] = []
        self.open: list[tuple[datetime, Ended]] = []  # transactions that will commit then
        self.servers = [Server("a"), Server("b")]
        self.balanced: int | None = None  # which server the balancer sends everything to; None: any
        self.stream_up = self.questions_up = True
        self.way = timedelta(seconds=0.05)
        self.stream_way = timedelta(seconds=0.05)
        self.stream: Stream | None = None
        self.question: Question | None = None
        self.expire_at = NOON
        self.told: list[tuple[Topic, str | None]] = []
        self.replica = replica(
            max_staleness=MAX_STALENESS,
            clock_skew=SKEW,
            chance=self.chance.random,
            tell=lambda topic, trouble: self.told.append((topic, trouble)),
        )
        self._ids = 0

    # Clocks

    @property
    def wall(self) -> datetime:
        return self.now + self.wall_offset

    @property
    def ticks(self) -> float:
        ticks = (self.now - NOON).total_seconds() + 1000
        return ticks - self.slept.total_seconds() if self.ticks_stop_in_sleep else ticks

    # What happens

    def end(self, *, late: timedelta = timedelta(), announced: tuple[int, ...] = ()) -> Ended:
        """End a session, in a transaction that takes so long to commit, and announce it to these servers."""
        self._ids += 1
        entry = Revocation(kind=Kind.SESSION, id=f"s{self._ids}", dies_at=self.now + LIFETIME + 2 * SKEW)
        ended = Ended(entry=entry, committed_at=self.now + late, exp=self.now + late + LIFETIME)
        self.open.append((ended.committed_at, ended))
        self._commit()
        if not late:
            for server in (self.servers[number] for number in announced):
                if server.up:
                    self._learn(server, [entry])
        return ended

    def crash(self, number: int) -> None:
        server = self.servers[number]
        server.up, server.live, server.as_of, server.read_at = False, LiveSet(), None, None

    def restart(self, number: int) -> None:
        server = self.servers[number]
        if not server.up:
            server.up = True
            server.started += 1

    def cut(self) -> None:
        """The connection breaks; what was in flight is lost."""
        if self.stream is not None:
            self.stream = None
            self.replica.disconnected("cut", at=self.ticks)

    def sleep(self, duration: timedelta) -> None:
        """The verifier's machine is suspended; the world goes on."""
        self.now += duration
        self.slept += duration
        self._serve()
        self.check()

    def wait(self, duration: timedelta) -> None:
        for _ in range(max(int(duration.total_seconds() / STEP), 1)):
            self.step()

    def heal(self) -> None:
        """Everything works again, for a minute."""
        for number, server in enumerate(self.servers):
            self.restart(number)
            server.reaches_store = True
        self.stream_up = self.questions_up = True
        self.way = self.stream_way = timedelta(seconds=0.05)
        self.wall_offset, self.balanced = timedelta(), None
        self.wait(timedelta(seconds=60))

    # What must hold

    def check(self) -> None:
        """No session is accepted later than ``max_staleness`` after its end committed, where that was demanded."""
        if self.state is not State.FRESH:
            return
        for ended in self.committed:
            late = self.now - ended.committed_at > MAX_STALENESS
            alive = self.wall - SKEW < ended.exp
            if late and alive:
                assert ended.entry.id in self.replica.live.sessions, f"{ended.entry.id} is accepted at {self.now}"

    def check_converged(self) -> None:
        assert self.state is State.FRESH, self.told[-5:]
        held = {entry.id for entry in self.replica.live}
        missing = {each.entry.id for each in self.committed if each.entry.dies_at > self.now} - held
        assert not missing, missing
        ended = {each.entry.id for each in self.committed}
        assert held <= ended

    @property
    def state(self) -> State:
        return self.replica.state(at=self.ticks, wall=self.wall)

    # A step of everything

    def step(self) -> None:
        self.now += timedelta(seconds=STEP)
        self._serve()
        self._receive()
        self._follow()
        self._ask()
        if self.now >= self.expire_at:
            self.expire_at = self.now + timedelta(seconds=10)
            self.replica.expire(at=self.ticks, wall=self.wall)
        self.check()

    def _serve(self) -> None:
        self._commit()
        for server in self.servers:
            due = server.read_at is None or (self.now - server.read_at).total_seconds() >= READ_EACH
            if server.up and server.reaches_store and due:
                server.as_of = server.read_at = self.now
                self._learn(server, [each.entry for each in self.committed if each.entry.dies_at > self.now])
                server.live.expire(now=self.now)
        self._serve_stream()

    def _commit(self) -> None:
        self.committed += [ended for at, ended in self.open if at <= self.now]
        self.open = [(at, ended) for at, ended in self.open if at > self.now]

    def _learn(self, server: Server, entries: list[Revocation]) -> None:
        new = tuple(entry for entry in entries if server.live.get(entry.kind, entry.id) != entry)
        server.live.merge(new)
        server.number += len(new)
        stream = self.stream
        if new and stream is not None and stream.begun and stream.server is server:
            self._send(stream, Revoked(revocations=new))

    def _serve_stream(self) -> None:
        stream = self.stream
        if stream is None or self.now < stream.arrives_at:
            return
        server = stream.server
        if not server.up or stream.life != server.started or server.as_of is None:
            self.cut()
            return
        if not stream.begun:
            stream.begun = True
            self._send(stream, Snapshot(revocations=tuple(server.live), reading=self._reading(server)))
        if self.now >= stream.beat_at:
            stream.beat_at = self.now + timedelta(seconds=BEAT_EACH)
            self._send(stream, self._heartbeat(server))

    def _send(self, stream: Stream, frame: Frame) -> None:
        # In order, however the way changes.
        at = max(self.now + self.stream_way, stream.in_flight[-1][0] if stream.in_flight else self.now)
        stream.in_flight.append((at, stream.server.event(frame)))

    def _reading(self, server: Server) -> Reading:
        assert server.as_of is not None
        return Reading(as_of=server.as_of, now=self.now)

    def _heartbeat(self, server: Server) -> Heartbeat:
        return Heartbeat(reading=self._reading(server), digests=server.live.digest(after=self.now + DIGEST_MARGIN))

    # The verifier's driver

    def _server(self) -> Server:
        return self.servers[self.balanced if self.balanced is not None else self.chance.randrange(2)]

    def _receive(self) -> None:
        if not self.stream_up:
            return  # nothing arrives, and nobody says so
        while self.stream is not None and self.stream.in_flight and self.stream.in_flight[0][0] <= self.now:
            _, event = self.stream.in_flight.popleft()
            self.replica.receive(event, at=self.ticks, wall=self.wall)

    def _follow(self) -> None:
        if self.replica.must_reconnect(at=self.ticks):
            self.cut()
        if self.stream is None and self.replica.connect_at is not None and self.replica.connect_at <= self.ticks:
            last_id = self.replica.connecting(at=self.ticks)
            server = self._server()
            if self.stream_up and server.up and server.as_of is not None:
                self.stream = Stream(server, server.started, last_id, self.now + self.stream_way)
            else:
                self.replica.disconnected("down", at=self.ticks)

    def _ask(self) -> None:
        question = self.question
        if question is None:
            if self.replica.ask_at <= self.ticks:
                self.replica.asking(at=self.ticks)
                self.question = Question(self.ticks, self.now, self._server(), self.now + self.way)
            return
        if not self.questions_up or (self.now - question.asked_at).total_seconds() > GIVES_UP_AFTER:
            self.question = None
            return
        server = question.server
        if question.answer is None and self.now >= question.arrives_at:
            if not server.up or server.as_of is None:
                self.question = None
                return
            question.answer, question.returns_at = self._heartbeat(server), self.now + self.way
        if question.answer is not None and question.returns_at is not None and self.now >= question.returns_at:
            self.question = None
            self.replica.answered(question.answer, asked_at=question.asked_ticks, at=self.ticks, wall=self.wall)
