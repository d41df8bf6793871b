"""A store, two servers, a network that does what networks do, and one verifier; time moves when it is told to."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from doorward.ports import Snapshot as StoreSnapshot
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.revocation.rules import was_put_back
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
    """A session or an account that has ended.

    Args:
        entry: what says so.
        committed_at: since when the bound counts; None while the store has lost it and who holds it has not read it.
        exp: until when its last token would live.
    """

    entry: Revocation
    committed_at: datetime | None
    exp: datetime


@dataclass
class Server:
    name: str
    up: bool = True
    reaches_store: bool = True
    live: LiveSet = field(default_factory=LiveSet)
    as_of: datetime | None = None
    read_at: datetime | None = None
    identity: int = 0
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
        writes_back: servers give a store that was put back what it has lost.
    """

    def __init__(
        self,
        replica: type[Replica] = Replica,
        *,
        seed: int = 0,
        ticks_stop_in_sleep: bool = False,
        writes_back: bool = True,
    ) -> None:
        self.chance = random.Random(seed)
        self.now = NOON
        self.wall_offset = timedelta()
        self.slept = timedelta()
        self.ticks_stop_in_sleep = ticks_stop_in_sleep
        self.writes_back = writes_back
        self.committed: list[Ended] = []
        self.store = LiveSet()
        self.identity = 0
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
        self._versions: dict[str, int] = {}

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
        return self._end(Kind.SESSION, f"s{self._ids}", 1, late=late, announced=announced)

    def end_account(self, name: str, *, announced: tuple[int, ...] = ()) -> Ended:
        """End all sessions of an account: its version rises."""
        self._versions[name] = version = self._versions.get(name, 0) + 1
        return self._end(Kind.ACCOUNT, name, version, late=timedelta(), announced=announced)

    def _end(self, kind: Kind, name: str, value: int, *, late: timedelta, announced: tuple[int, ...]) -> Ended:
        entry = Revocation(kind=kind, id=name, value=value, dies_at=self.now + LIFETIME + 2 * SKEW)
        ended = Ended(entry=entry, committed_at=self.now + late, exp=self.now + late + LIFETIME)
        self.open.append((self.now + late, ended))
        self._commit()
        if not late:
            for number in announced:
                self.announce(ended, number)
        return ended

    def announce(self, ended: Ended, number: int) -> None:
        """An announcement arrives at a server: maybe late, maybe not for the first time, in whatever order."""
        server = self.servers[number]
        if server.up and ended.entry.dies_at > self.now:
            self._learn(server, [ended.entry])

    def repeat_in_flight(self) -> None:
        """What is under way in the stream arrives twice."""
        if self.stream is not None:
            self.stream.in_flight.extend([(self._arrival(self.stream), event) for _, event in self.stream.in_flight])

    def reorder_in_flight(self) -> None:
        """What is under way in the stream arrives in another order."""
        if self.stream is not None:
            events = [event for _, event in self.stream.in_flight]
            self.chance.shuffle(events)
            times = [at for at, _ in self.stream.in_flight]
            self.stream.in_flight = deque(zip(times, events, strict=True))

    def put_back(self, span: timedelta) -> None:
        """A backup takes the store's place: what was committed so recently is lost, and comes from who holds it."""
        since = self.now - span
        kept = LiveSet()
        for ended in self.committed:
            if ended.committed_at is not None and ended.committed_at <= since:
                kept.merge([ended.entry])
            else:
                ended.committed_at = None
        self.store = kept
        self.identity += 1

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
            late = ended.committed_at is not None and self.now - ended.committed_at > MAX_STALENESS
            alive = self.wall - SKEW < ended.exp
            if late and alive:
                assert _holds(self.replica.live, ended.entry), f"{ended.entry.id} is accepted at {self.now}"

    def check_converged(self) -> None:
        assert self.state is State.FRESH, self.told[-5:]
        due = [each.entry for each in self.committed if each.committed_at is not None and each.entry.dies_at > self.now]
        missing = {entry.id for entry in due if not _holds(self.replica.live, entry)}
        assert not missing, missing
        ended = {(each.entry.kind, each.entry.id, each.entry.value) for each in self.committed}
        assert {(entry.kind, entry.id, entry.value) for entry in self.replica.live} <= ended

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
                self._read(server)
        self._serve_stream()

    def _read(self, server: Server) -> None:
        self.store.expire(now=self.now)
        held = tuple(server.live)
        read = StoreSnapshot(revocations=tuple(self.store), as_of=self.now, identity=str(self.identity))
        if was_put_back(held, read, known=str(server.identity)):
            if self.writes_back:
                self.store.merge(entry for entry in held if entry.dies_at > self.now)
            server.identity = self.identity
        for ended in self.committed:
            if ended.committed_at is None and _holds(server.live, ended.entry):
                ended.committed_at = self.now  # from here on the bound counts again
        server.as_of = server.read_at = self.now
        self._learn(server, list(read.revocations))
        server.live.expire(now=self.now)

    def _commit(self) -> None:
        new = [ended for at, ended in self.open if at <= self.now]
        self.committed += new
        self.store.merge(ended.entry for ended in new)
        self.open = [(at, ended) for at, ended in self.open if at > self.now]

    def _learn(self, server: Server, entries: list[Revocation]) -> None:
        new = tuple(entry for entry in entries if not _holds(server.live, entry))
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
        stream.in_flight.append((self._arrival(stream), stream.server.event(frame)))

    def _arrival(self, stream: Stream) -> datetime:
        # In order, however the way changes.
        return max(self.now + self.stream_way, stream.in_flight[-1][0] if stream.in_flight else self.now)

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


def _holds(live: LiveSet, entry: Revocation) -> bool:
    held = live.get(entry.kind, entry.id)
    return held is not None and held.value >= entry.value and held.dies_at >= entry.dies_at
