"""Random histories of a browser, a thief and a deployment, and what must hold after every step of them.

The browser is honest and has several tabs that share one jar: a refresh token and, in a keyed history, the attempt key
beside it.  That it is never taken for a thief rests on these conditions, which the machine keeps:

- a tab reads the jar anew before it presents, also when it repeats;
- no request is under way for longer than ``WAY`` and no reply either, two of which are the grace; what has not arrived
  by then is lost for good;
- without a key, a token whose reply was lost is presented again so that it arrives within the window.  A history in
  which the browser comes too late goes on, but promises it nothing any more.

The thief copies the jar once.  Within the grace of the other party's refresh the two share the current token, which is
documented and not what this is about: neither presents a superseded token then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import ClassVar, Literal, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorward.rotation.model import RefreshPolicy
from doorward.sessions.model import EndReason, Session
from doorward.sessions.rules import decide_standing, goes_on, is_revoked
from doorward.testing import FakeClock, a_new_session, an_account
from tests.rotation.reference import SOUND, Reference, Rules
from tests.rotation.world import Answer, Crash, Reply, Request, World, hold, secret_of

GRACE, REST, WINDOW, IDLE = (timedelta(seconds=seconds) for seconds in (10, 30, 70, 43_200))
POLICY = RefreshPolicy(grace=GRACE, rest=REST, window=WINDOW, idle=IDLE, idle_remembered=IDLE)
WAY = GRACE / 2
MOST_TURNS = WINDOW // REST
"""How often two holders may take over from each other: the window has room for so many recoveries."""

PLAYED, BYSTANDER = 1, 2
"""The keys of two sessions of one account; nothing that is presented for the first may touch the second."""
ACCOUNT = an_account()

T = TypeVar("T")
Party = Literal["owner", "thief"]
TICK = timedelta(microseconds=1)
MOMENTS = [TICK, timedelta(seconds=1), WAY, GRACE, GRACE + TICK, REST, WINDOW + TICK]
STEPS = [timedelta(seconds=seconds) for seconds in (-7200, -REST.seconds, -1, 20, 400, 50_000)]
crashes: st.SearchStrategy[Crash | None] = st.sampled_from([None, None, None, "before the commit", "after the commit"])


class RotationMachine(RuleBasedStateMachine):
    """One history, played in every world at once."""

    under: ClassVar[Rules] = SOUND
    about: ClassVar[frozenset[str]] = frozenset({"theft", "races", "ends", "clocks", "lost writes"})
    """What happens in these histories besides honest tabs whose messages are lost, late, repeated and reordered."""

    def other_worlds(self, *, heal: bool) -> list[World]:
        """The worlds beside the reference."""
        return []

    @initialize(keyed=st.booleans(), heal=st.booleans())
    def sign_in(self, *, keyed: bool, heal: bool) -> None:
        self.clock = FakeClock()
        self.elapsed = timedelta(0)
        policy = replace(POLICY, heal_lost_writes=heal)
        self.reference = Reference(ACCOUNT, clock=self.clock, policy=policy, rules=self.under)
        self.worlds: list[World] = [self.reference, *self.other_worlds(heal=heal)]
        # The signing keys stay older than whatever the clock is set back to.
        self.clock.move(timedelta(days=5))
        for key in (PLAYED, BYSTANDER):
            for world in self.worlds:
                world.start(a_new_session(key, idle=IDLE, secret_hash=sha256(secret_of(key)).digest()))
        self.save()
        self.keyed = keyed
        self.jar = 0
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.held: set[int] = set()
        self.loot: set[int] = set()
        self.maker: Party = "owner"
        self.turns = 0
        self.newest = 0
        self.ended: EndReason | None = None
        self.excused = False
        self.recorded, self.named = 0, False
        self.was_set_back = False
        self.writes_lost = False

    # The browser

    @precondition(lambda self: len(self.requests) < 3)
    @rule()
    def send(self) -> None:
        """A tab reads the jar and presents what is in it."""
        row = self.row
        if not self.keyed and self.jar < row.generation and row.first_at is not None:
            self.excused |= self.clock() + WAY > row.first_at + WINDOW
        attempt = f"the attempt beside token {self.jar}" if self.keyed else None
        self.requests.append(Request(generation=self.jar, attempt=attempt, late_at=self.elapsed + WAY))

    @precondition(lambda self: self.requests and len(self.replies) < 3)
    @rule(which=st.integers(0, 2), crash=crashes, repeated=st.booleans())
    def arrive(self, *, which: int, crash: Crash | None, repeated: bool) -> None:
        """A request reaches the server; something on the way may send it once more."""
        request = self.requests[which % len(self.requests)]
        if not repeated:
            self.requests.remove(request)
        if not self.is_sharing("owner", request.generation):
            self.reply_to(self.present("owner", request.generation, request.attempt, crash=crash))

    @precondition(lambda self: self.replies)
    @rule(which=st.integers(0, 2), repeated=st.booleans())
    def receive(self, *, which: int, repeated: bool) -> None:
        """A reply reaches its tab, in any order; something on the way may deliver it once more."""
        reply = self.replies[which % len(self.replies)]
        if not repeated:
            self.replies.remove(reply)
        self.held.add(reply.access)
        if not reply.unchanged or self.under.sets_unchanged_cookie:
            hold(reply.generation >= self.jar, "a late reply put an older token in the place of a newer one")
            self.jar = reply.generation

    @precondition(lambda self: self.requests or self.replies)
    @rule(which=st.integers(0, 5))
    def lose(self, which: int) -> None:
        """A request or a reply is lost."""
        under_way = [*self.requests, *self.replies]
        lost = under_way[which % len(under_way)]
        self.requests = [each for each in self.requests if each is not lost]
        self.replies = [each for each in self.replies if each is not lost]

    @precondition(lambda self: "races" in self.about and self.requests and len(self.replies) < 2)
    @rule(which=st.integers(0, 2), other=st.sampled_from(["another tab", "sign-out", "disabled", "seen"]))
    def race(self, which: int, other: str) -> None:
        """Something happens between the server's look at the row and its write."""
        first = self.requests.pop(which % len(self.requests))
        second = self.requests[-1] if self.requests and other == "another tab" else None
        if any(self.is_sharing("owner", each.generation) for each in (first, *self.requests)):
            return

        def meanwhile(world: World) -> Answer | None:
            aside = None
            match other:
                case "sign-out":
                    world.end(self.row.id, EndReason.SIGNED_OUT)
                case "disabled":
                    world.disable(disabled=True)
                case "seen" if self.usable:
                    world.use(max(self.usable))
                case _ if second is not None:
                    aside = world.present(PLAYED, second.generation, second.attempt)
            # What ended here has ended for good, also if the write that follows brings it back.
            self.ended = self.row.ended_reason
            return aside

        self.reply_to(self.present("owner", first.generation, first.attempt, meanwhile=meanwhile))

    @precondition(lambda self: len(self.requests) < 3 and len(self.replies) < 3)
    @rule(lost=st.booleans())
    def refresh(self, *, lost: bool) -> None:
        """A request is answered in no time; the reply arrives at once or never."""
        self.send()
        waiting = len(self.replies)
        self.arrive(which=len(self.requests) - 1, crash=None, repeated=False)
        if len(self.replies) > waiting and not lost:
            self.receive(which=len(self.replies) - 1, repeated=False)
        self.replies = self.replies[:waiting]

    @precondition(lambda self: self.usable)
    @rule(which=st.integers(0, 20))
    def use(self, which: int) -> None:
        """Somebody presents an access token that has reached somebody."""
        access = self.usable[which % len(self.usable)]
        over = self.standing is not None and not self.writes_lost
        said = self.same([world.use(access) for world in self.worlds])
        # A revocation is remembered for so long by the store's clock: set back, it forgets too early.
        hold(not over or said != "honoured" or self.was_set_back, "an access token outlived its session")

    # The thief

    @precondition(lambda self: "theft" in self.about and not self.loot)
    @rule()
    def copy_the_jar(self) -> None:
        self.loot = {self.jar}

    @precondition(lambda self: self.loot)
    @rule(which=st.integers(0, 5), keyed=st.booleans(), lost=st.booleans())
    def rob(self, *, which: int, keyed: bool, lost: bool) -> None:
        """The thief presents something that it holds."""
        generation = sorted(self.loot, reverse=True)[which % len(self.loot)]
        if self.is_sharing("thief", generation):
            return
        answer = self.present("thief", generation, "a key of its own" if keyed else None)
        if answer.generation is not None and answer.access is not None and not lost:
            self.loot.add(answer.generation)
            self.held.add(answer.access)

    # Ends

    @precondition(lambda self: "ends" in self.about)
    @rule(how=st.sampled_from(["sign-out", "all", "disable", "enable", "password", "password elsewhere"]))
    def end(self, how: str) -> None:
        for world in self.worlds:
            match how:
                case "sign-out":
                    world.end(self.row.id, EndReason.SIGNED_OUT)
                case "all":
                    world.end_all()
                case "disable" | "enable":
                    world.disable(disabled=how == "disable")
                case _:
                    world.change_password(PLAYED if how == "password" else BYSTANDER)

    # Time, crashes and backups

    @rule(by=st.sampled_from(MOMENTS))
    def wait(self, by: timedelta) -> None:
        """Time passes; what would be under way for too long is lost."""
        self.elapsed += by
        self.requests = [each for each in self.requests if each.late_at >= self.elapsed]
        self.replies = [each for each in self.replies if each.late_at >= self.elapsed]
        self.clock.move(by)

    @precondition(lambda self: "clocks" in self.about)
    @rule(by=st.sampled_from(STEPS))
    def set_the_clock(self, by: timedelta) -> None:
        """The server's clock is set; forward it is as if time had passed."""
        if by > timedelta(0):
            self.wait(by)
        elif self.row.ended_at is None and not goes_on(self.row, self.reference.account()):
            # It had run out before its account was disabled, and a clock set back would let it live again.  It is
            # refused everywhere; Redis, which does not ask for the account with each request, notes its end as well.
            return
        else:
            self.was_set_back = True
            self.clock.move(by)

    @precondition(lambda self: "ends" in self.about)
    @rule()
    def read_changes(self) -> None:
        for world in self.worlds:
            world.read_changes()
        revoked = is_revoked(self.row, self.reference.live)
        hold(not revoked or self.standing is not None, "a backup brought back what had ended")

    @precondition(lambda self: "lost writes" in self.about)
    @rule()
    def back_up(self) -> None:
        self.save()

    @precondition(lambda self: "lost writes" in self.about and self.row.generation)
    @rule()
    def restore(self) -> None:
        """The backup takes the store's place while nothing is under way."""
        self.requests, self.replies = [], []
        for world in self.worlds:
            world.restore()
        self.writes_lost = True
        self.newest, self.ended = self.row.generation, None

    def save(self) -> None:
        for world in self.worlds:
            world.save()

    # What must always hold

    @invariant()
    def the_worlds_do_not_differ(self) -> None:
        for key in (PLAYED, BYSTANDER):
            self.same([world.row(key) for world in self.worlds])
        self.same([world.account() for world in self.worlds])
        self.same([world.revoked() for world in self.worlds])
        shortest = min(len(world.events()) for world in self.worlds)
        self.same([world.events()[-shortest or None :] for world in self.worlds])

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        hold(self.ended is None or self.row.ended_reason is self.ended, "a session that had ended came back")
        self.ended = self.row.ended_reason

    @invariant()
    def the_generation_never_falls(self) -> None:
        hold(self.row.generation >= self.newest, "the generation fell")
        self.newest = self.row.generation

    def present(
        self,
        party: Party,
        generation: int,
        attempt: str | None,
        *,
        crash: Crash | None = None,
        meanwhile: Callable[[World], Answer | None] | None = None,
    ) -> Answer:
        """Present a token in every world, and judge the answer."""
        before, over, bystander = self.row, self.standing, self.reference.row(BYSTANDER)
        version = self.reference.account().version
        self.recorded, self.named = len(self.reference.events()), is_revoked(before, self.reference.live)

        def in_world(world: World) -> Answer:
            if meanwhile is None:
                return world.present(PLAYED, generation, attempt, crash=crash)
            return world.present(PLAYED, generation, attempt, interlude=lambda: asides.append(meanwhile(world)))

        asides: list[Answer | None] = []
        answer = self.same([in_world(world) for world in self.worlds])
        hold(len(asides) in {0, len(self.worlds)}, "one world looked before it wrote and another did not")
        if asides and (aside := self.same(asides)) is not None:
            self.reply_to(aside)
            self.judge(party, before, over, generation, aside)
        if self.reference.account().version == version:
            # Before anybody reads: what was put back may have another session written back, as ended.
            hold(self.reference.row(BYSTANDER) == bystander, "another session than the presented one was touched")
        if crash is not None:
            # Whoever died comes back and reads what was committed.
            self.read_changes()
        self.judge(party, before, over, generation, answer)
        return answer

    def judge(self, party: Party, before: Session, over: EndReason | None, generation: int, answer: Answer) -> None:
        row, stood = self.row, over is None
        if answer.kind == "answered":
            hold(answer.generation == row.generation, "the chain forked: an answer that is not the current generation")
            hold(stood, "something was issued for a session that had ended")
            hold(not is_revoked(row, self.reference.live), "something was issued for what a live revocation names")
            self.judge_late_answer(answer)
        if answer.kind == "early":
            hold(answer.retry_after is not None and timedelta(0) < answer.retry_after <= REST, "no time to come again")
        if answer.reason is not None:
            hold(answer.reason in {over, self.standing}, "the reason of the refusal is not why the session is over")
        # One that a store has brought back is ended again for its own reason: that was judged before.
        if answer.kind == "refused" and answer.reason == EndReason.REUSE and stood and not self.named:
            hold(row.ended_reason is EndReason.REUSE, "a reuse did not end the session")
            hold(row.id in self.reference.live.sessions, "a reuse did not revoke its access tokens")
            hold(("reused",) in self.reference.events()[self.recorded :], "a reuse left no trace")
        if party == "owner" and not self.loot and not self.excused and stood:
            hold(answer.reason != EndReason.REUSE, "an honest browser was taken for a thief")
            is_ahead = self.writes_lost and generation > before.generation
            is_over = self.standing is not None
            hold(
                answer.kind != "refused" or is_ahead or is_over,
                "a caller that lost a race was not answered as signed in",
            )
        self.judge_turn(party, before, generation, answer)

    def judge_late_answer(self, answer: Answer) -> None:
        """An answer that an end overtook is worth nothing: what was issued with it is dead."""
        if self.standing is not None:
            for world in self.worlds:
                hold(world.use(answer.access or 0) != "honoured", "an end was overtaken by what it ended")

    def judge_turn(self, party: Party, before: Session, generation: int, answer: Answer) -> None:
        """Two holders of copies cannot take turns for ever."""
        if (
            answer.kind == "answered"
            and generation < before.generation
            and party != self.maker
            and not self.writes_lost
        ):
            hold(not before.acknowledged, "the successor had been seen, and a copy of its predecessor was honoured")
            self.turns += 1
            hold(self.turns <= MOST_TURNS, "two parties take turns for ever")
        if self.row.generation != before.generation:
            self.maker = party

    # Looking

    @property
    def row(self) -> Session:
        return self.reference.row(PLAYED)

    @property
    def standing(self) -> EndReason | None:
        return decide_standing(self.row, self.reference.account(), now=self.clock())

    @property
    def usable(self) -> list[int]:
        """The access tokens that somebody holds and that are valid by their times."""
        now, leases = self.clock().timestamp(), self.reference.leases
        return [each for each in sorted(self.held) if leases[each].issued_at <= now < leases[each].expires_at]

    def is_sharing(self, party: Party, generation: int) -> bool:
        row = self.row
        superseded = generation in {row.predecessor, row.displaced}
        return bool(self.loot) and party != self.maker and superseded and self.clock() - row.made_at <= GRACE

    def reply_to(self, answer: Answer) -> None:
        if answer.generation is not None and answer.access is not None:
            self.replies.append(
                Reply(
                    generation=answer.generation,
                    unchanged=bool(answer.unchanged),
                    access=answer.access,
                    late_at=self.elapsed + WAY,
                )
            )

    def same(self, found: list[T]) -> T:
        for world, each in zip(self.worlds, found, strict=False):
            hold(each == found[0], f"{world.name} differs from the reference:\n{each}\n{found[0]}")
        return found[0]
