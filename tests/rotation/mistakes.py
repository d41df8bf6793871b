"""Rules that each get one thing wrong, as systems in the field did, and where that shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from doorward.accounts.model import Account
from doorward.rotation.model import Ahead, Decision, Presentation, RefreshPolicy, Retried, Reused, Revived, Wait
from doorward.rotation.rules import decide_refresh
from doorward.sessions.model import Session
from tests.rotation.machine import REST, WAY, RotationMachine
from tests.rotation.reference import Decide, Rules

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What ``decide_refresh`` is asked."""

    session: Session
    account: Account
    presented: Presentation
    now: datetime
    policy: RefreshPolicy
    store_identity: str
    revoked: bool
    delayed: timedelta

    def answered_soundly(self) -> Decision:
        return decide_refresh(
            self.session,
            self.account,
            self.presented,
            now=self.now,
            policy=self.policy,
            store_identity=self.store_identity,
            revoked=self.revoked,
            delayed=self.delayed,
        )


def mistaken(answered: Callable[[Question, Decision], Decision]) -> Rules:
    """The sound rules, and then another answer to some questions."""

    def decide(
        session: Session | None,
        account: Account | None,
        presented: Presentation,
        *,
        now: datetime,
        policy: RefreshPolicy,
        store_identity: str,
        revoked: bool = False,
        delayed: timedelta = timedelta(0),
    ) -> Decision:
        assert session is not None
        assert account is not None
        question = Question(
            session=session,
            account=account,
            presented=presented,
            now=now,
            policy=policy,
            store_identity=store_identity,
            revoked=revoked,
            delayed=delayed,
        )
        return answered(question, question.answered_soundly())

    checked: Decide = decide
    return Rules(decide=checked)


def _without_a_wait(question: Question, sound: Decision) -> Decision:
    restless = replace(question.policy, rest=timedelta(0))
    return replace(question, policy=restless).answered_soundly() if isinstance(sound, Wait) else sound


def _without_a_new_start_by_key(question: Question, sound: Decision) -> Decision:
    return replace(sound, to=None) if isinstance(sound, Retried) and sound.why == "attempt" else sound


def _without_a_grace(question: Question, sound: Decision) -> Decision:
    return Reused() if isinstance(sound, Retried) and sound.why == "grace" else sound


def _with_a_grace_for_any_old_generation(question: Question, sound: Decision) -> Decision:
    in_grace = question.now - question.session.made_at <= question.policy.grace
    return Retried(to=None, why="grace") if isinstance(sound, Reused) and in_grace else sound


def _with_the_predecessor_answered_for_ever(question: Question, sound: Decision) -> Decision:
    is_predecessor = question.presented.generation == question.session.predecessor
    return Retried(to=None, why="grace") if isinstance(sound, Reused) and is_predecessor else sound


def _with_recovery_of_what_was_seen(question: Question, sound: Decision) -> Decision:
    unseen = replace(question.session, acknowledged=False)
    return replace(question, session=unseen).answered_soundly() if isinstance(sound, Reused) else sound


def _with_lost_writes_taken_for_theft(question: Question, sound: Decision) -> Decision:
    return Reused() if isinstance(sound, Ahead) else sound


def _before_the_revocation_is_heard_of(question: Question, sound: Decision) -> Decision:
    return replace(question, revoked=False).answered_soundly() if isinstance(sound, Revived) else sound


def _without_a_mark_of_a_retry(question: Question, sound: Decision) -> Decision:
    unmarked = replace(question.session, retried=False)
    return replace(question, session=unmarked).answered_soundly() if isinstance(sound, Wait) else sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong.

    Args:
        rules: the rules with it.
        about: what has to happen in a history for it to show, where honest tabs alone do not show it.
        told: a history in which it shows, where chance seldom finds one; the last step is the one that breaks.
        keyed: whether the browser of that history keeps a key.
    """

    rules: Rules
    about: str | None = None
    told: Callable[[RotationMachine], None] | None = None
    keyed: bool = False


def _a_reply_is_overtaken_by_a_rotation(tabs: RotationMachine) -> None:
    tabs.send()
    tabs.send()
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.receive(which=0, repeated=False)
    tabs.refresh(lost=False)
    tabs.receive(which=0, repeated=False)


def _a_late_reply_meets_a_recovery(tabs: RotationMachine) -> None:
    tabs.refresh(lost=True)
    tabs.wait(WAY)
    tabs.send()
    tabs.wait(WAY)
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.wait(SECOND)
    tabs.refresh(lost=False)
    tabs.receive(which=0, repeated=False)


def _two_tabs_repeat_one_attempt(tabs: RotationMachine) -> None:
    tabs.refresh(lost=True)
    tabs.wait(REST)
    tabs.send()
    tabs.send()
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.receive(which=0, repeated=False)
    tabs.refresh(lost=False)
    tabs.receive(which=0, repeated=False)


def _a_late_retry_is_seen_before_another_tab_comes(tabs: RotationMachine) -> None:
    tabs.refresh(lost=True)
    tabs.wait(WAY)
    tabs.send()
    tabs.wait(WAY)
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.send()
    tabs.wait(WAY)
    tabs.receive(which=0, repeated=False)
    tabs.use(0)
    tabs.arrive(which=0, crash=None, repeated=False)


def _a_young_token_is_answered_just_before_it_rotates(tabs: RotationMachine) -> None:
    tabs.refresh(lost=False)
    tabs.wait(REST - SECOND)
    tabs.send()
    tabs.arrive(which=0, crash=None, repeated=False)
    tabs.wait(SECOND)
    tabs.refresh(lost=False)
    tabs.receive(which=0, repeated=False)


MISTAKES = {
    "no rest": Mistake(rules=Rules(rest=timedelta(0)), told=_a_reply_is_overtaken_by_a_rotation),
    "no wait": Mistake(rules=mistaken(_without_a_wait), told=_a_late_reply_meets_a_recovery),
    "no mark of a retry": Mistake(
        rules=mistaken(_without_a_mark_of_a_retry), told=_a_late_retry_is_seen_before_another_tab_comes
    ),
    "no new start by key": Mistake(
        rules=mistaken(_without_a_new_start_by_key), told=_two_tabs_repeat_one_attempt, keyed=True
    ),
    "the cookie set though unchanged": Mistake(
        rules=Rules(sets_unchanged_cookie=True), told=_a_young_token_is_answered_just_before_it_rotates
    ),
    "no grace": Mistake(rules=mistaken(_without_a_grace)),
    "a grace for any old generation": Mistake(rules=mistaken(_with_a_grace_for_any_old_generation), about="theft"),
    "the predecessor answered for ever": Mistake(
        rules=mistaken(_with_the_predecessor_answered_for_ever), about="theft"
    ),
    "a recovery though the successor was seen": Mistake(rules=mistaken(_with_recovery_of_what_was_seen), about="theft"),
    "the reuse rolled back with its refusal": Mistake(rules=Rules(reuse_commits=False), about="theft"),
    "lost writes taken for theft": Mistake(rules=mistaken(_with_lost_writes_taken_for_theft), about="lost writes"),
    "read, then write": Mistake(rules=Rules(atomic=False), about="races"),
    # In a server that has not heard of the revocation yet: whoever has refuses by that alone.
    "written without comparing": Mistake(
        rules=replace(mistaken(_before_the_revocation_is_heard_of), compares=False), about="races"
    ),
    "the end outside the statement": Mistake(rules=Rules(statement_sees_ends=False), about="ends"),
}
