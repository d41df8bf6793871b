"""The model of the revocation feed keeps every rule in every scenario, and loses one with each bug seeded into it.

``models/README.md`` says what the words in capitals choose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.checker import Model, needs_the_checker

pytestmark = needs_the_checker
FEED = Model("feed.pml")

SCENARIOS = {
    "two servers, a stream and questions": "MAX=1",
    "two servers, answers that list recent entries": "MAX=1 RECENT=1",
    "two servers, a stream with room for two": "MAX=1 QUEUE=2 NO_QUESTIONS",
    "two servers that crash": "MAX=1 CRASHES NO_QUESTIONS",
    "one server that crashes, and heartbeats": "SERVERS=1 MAX=1 CRASHES HEARTBEATS",
    "one server, reads that take their time": "SERVERS=1 MAX=1 SLOW_READS",
    "two servers, and the store put back": "MAX=1 PUT_BACK NO_QUESTIONS",
    "one server, the store put back during a read": "SERVERS=1 MAX=1 PUT_BACK SLOW_READS NO_QUESTIONS",
    "an account, and a new sign-in": "SERVERS=1 ACCOUNT",
    "an end that is rolled back": "SERVERS=1 ROLLED_BACK",
    "death, and a clock set far forward or back": "SERVERS=1 MAX=1 CLOCKS",
    "death, and a clock as far behind as it may be": "SERVERS=1 MAX=1 CLOCKS STEP=1",
}


@pytest.mark.slow
@pytest.mark.parametrize("choice", SCENARIOS.values(), ids=SCENARIOS)
def test_no_interleaving_breaks_a_rule(choice: str, tmp_path: Path) -> None:
    FEED.holds(tmp_path, choice)


# A scenario with one of these bugs must lose the rule beside it.

BUGS = {
    "a snapshot installed and not merged": ("BUG_SNAPSHOT_INSTALLED MAX=1 NO_QUESTIONS", "an_entry_stays"),
    "heartbeats counted without a round trip": ("BUG_HEARTBEATS_COUNT HEARTBEATS SERVERS=1", "fresh_refuses"),
    "a cursor by time instead of complete reads": ("BUG_CURSOR_BY_TIME SERVERS=1 MAX=1", "fresh_refuses"),
    "a cut-off by iat, without its second": ("BUG_CUT_OFF_BY_IAT ACCOUNT SERVERS=1 NO_QUESTIONS", "fresh_refuses"),
    "a cut-off by iat, with its second": (
        "BUG_CUT_OFF_BY_IAT_INCLUDED ACCOUNT SERVERS=1 NO_QUESTIONS",
        "none_refused_without_an_entry",
    ),
    "as_of taken at the end of the read": ("BUG_AS_OF_AT_THE_END SLOW_READS SERVERS=1 MAX=1", "fresh_refuses"),
    "as fresh as the answer, not as the question": ("BUG_FRESH_FROM_THE_ARRIVAL SERVERS=1 MAX=1", "fresh_refuses"),
    "the server's own lag ignored": ("BUG_LAG_IGNORED SERVERS=1 MAX=1", "fresh_refuses"),
    "no writing back": ("BUG_NO_WRITING_BACK PUT_BACK SERVERS=1 NO_QUESTIONS MAX=1", "kept_when_put_back"),
    "no writing back: what becomes of the bound": (
        "BUG_NO_WRITING_BACK PUT_BACK NO_QUESTIONS MAX=1 IGNORE_THE_STORE",
        "fresh_refuses",
    ),
    "entries that die by the reader's clock": (
        "BUG_DEATH_BY_THE_READERS_CLOCK CLOCKS SERVERS=1 MAX=1",
        "an_entry_stays",
    ),
    "recent entries left out of digests and not listed": (
        "BUG_RECENT_LEFT_OUT RECENT=1 SERVERS=1 MAX=1",
        "fresh_refuses",
    ),
    "recent entries left out by the server alone": (
        "BUG_CUT_BY_THE_SERVER_ALONE RECENT=1 MAX=1",
        "recent_never_differ",
    ),
    "recent entries left out by the verifier alone": (
        "BUG_CUT_BY_THE_VERIFIER_ALONE RECENT=1 SERVERS=1 MAX=1",
        "recent_never_differ",
    ),
    "digests that close any gap": ("BUG_DIGEST_CLOSES_ANY_GAP CLOCKS STEP=1 SERVERS=1 MAX=1", "fresh_refuses"),
    "ticks that stop while the machine sleeps": (
        "BUG_TICKS_STOP_IN_SLEEP SERVERS=1 MAX=1 NO_QUESTIONS",
        "fresh_refuses",
    ),
    "an announcement before the commit": (
        "BUG_ANNOUNCED_BEFORE_THE_COMMIT ROLLED_BACK SERVERS=1 MAX=1",
        "none_refused_without_an_entry",
    ),
}


@pytest.mark.parametrize(("choice", "rule"), BUGS.values(), ids=BUGS)
def test_a_seeded_bug_breaks_its_rule(choice: str, rule: str, tmp_path: Path) -> None:
    FEED.breaks(tmp_path, choice, rule)


def test_digests_close_no_gap_that_is_nearly_as_long_as_an_entry_lives(tmp_path: Path) -> None:
    # What MARGIN and COVERED leave of an entry's life must be longer than max_staleness: here it is just as long.
    FEED.breaks(tmp_path, "CLOCKS STEP=1 SERVERS=1 MAX=2", "fresh_refuses")


# A scenario that never comes to what it is about would show nothing.

REACHED = {
    "refuses_while_fresh": "SERVERS=1 MAX=1",
    "streams_and_is_stale": "SERVERS=1 MAX=1",
    "knows_more_than_its_server": "MAX=1",
    "answered_before_the_stream": "MAX=1 RECENT=1",
    "store_knows_less": "SERVERS=1 MAX=1 PUT_BACK NO_QUESTIONS",
    "has_let_go": "SERVERS=1 MAX=1 CLOCKS",
}


@pytest.mark.parametrize(("event", "choice"), REACHED.items(), ids=REACHED)
def test_what_a_scenario_is_about_is_reached(event: str, choice: str, tmp_path: Path) -> None:
    FEED.breaks(tmp_path, f"{choice} REACH={event}", "never_reached")
