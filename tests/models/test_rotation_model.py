"""The model of rotation keeps every rule in every scenario, and loses one with each bug that is seeded into it.

``models/README.md`` says what the words in capitals choose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.checker import Model, needs_the_checker

pytestmark = needs_the_checker
ROTATION = Model("rotation.pml")

SCENARIOS = {
    "tabs with a key, ways of one tick each": "KEYED",
    "tabs with a key, slow requests": "KEYED UP=2 DOWN=0 NEWEST=3",
    "tabs with a key, slow replies": "KEYED UP=0 DOWN=2",
    "three requests with a key": "KEYED TABS=3 UP=1 DOWN=0 NEWEST=2",
    "three requests with a key, slow replies": "KEYED TABS=3 UP=0 DOWN=1 NEWEST=2",
    "tabs without a key, ways of one tick each": "NEWEST=3",
    "tabs without a key, slow requests": "UP=2 DOWN=0 NEWEST=3",
    "tabs without a key, slow replies": "UP=0 DOWN=2",
    "three requests without a key": "TABS=3 UP=1 DOWN=0 NEWEST=2",
    "three requests without a key, slow replies": "TABS=3 UP=0 DOWN=1 NEWEST=3",
    "one request at a time without a key": "TABS=1",
    "one request at a time without a key, slow requests": "TABS=1 UP=2 DOWN=0",
    "an end that races with tabs": "KEYED END UP=1 DOWN=0",
    "an end that races with tabs without a key": "END UP=1 DOWN=0 NEWEST=3",
    "an end that races with one tab without a key": "TABS=1 END",
    "a copy, and a browser without a key": "THIEF TABS=1 UP=1 DOWN=0 NEWEST=3",
    "a copy, and a browser with a key": "THIEF TABS=1 UP=1 DOWN=0 KEYED NEWEST=3",
    "a copy, ways of one tick each": "THIEF TABS=1 NEWEST=2",
    "a copy, and two tabs": "THIEF UP=0 DOWN=1 NEWEST=2",
    "a copy, and no reply lost: no second turn": "THIEF TABS=1 UP=1 DOWN=0 NEWEST=3 RECOVERIES=3 LOSSLESS",
    "access tokens and an end, slow requests": "LEASE END KEYED UP=1 DOWN=0",
    "access tokens and an end, slow replies": "LEASE END KEYED UP=0 DOWN=1",
    "a server that stands still": "STALLED TABS=1 UP=1 DOWN=0 NEWEST=3",
    "a server that stands still and is not told of a closed connection": "STALLED CLOSE_UNSEEN TABS=1 NEWEST=3",
    "a server that stands still, with a key": "STALLED CLOSE_UNSEEN TABS=1 UP=1 DOWN=0 KEYED NEWEST=3",
    "a store that lost writes": "LOST_WRITES KEYED UP=1 DOWN=0 NEWEST=2",
}


@pytest.mark.slow
@pytest.mark.parametrize("choice", SCENARIOS.values(), ids=SCENARIOS)
def test_no_interleaving_breaks_a_rule(choice: str, tmp_path: Path) -> None:
    ROTATION.holds(tmp_path, choice)


# Bugs that the field really had.  A scenario with one of them must lose the rule beside it.

ONE_TAB = "TABS=1 UP=1 DOWN=0"
BUGS = {
    "read then write": (
        "BUG_READ_THEN_WRITE KEYED END UP=1 DOWN=0",
        "nothing_after_the_end",
    ),
    "read then write: an older generation returns": (
        f"BUG_READ_THEN_WRITE THIEF {ONE_TAB} NEWEST=3 IGNORE_THE_END MOST_TURNS=255",
        "generation_never_falls",
    ),
    "a decision applied without comparing what it was made on": (
        "BUG_SWAP_WITHOUT_COMPARING KEYED END UP=1 DOWN=0",
        "nothing_after_the_end",
    ),
    "the reuse branch rolled back with its transaction": (
        f"BUG_REUSE_ROLLED_BACK THIEF {ONE_TAB}",
        "reuse_ends_the_session",
    ),
    "no rest": ("BUG_NO_REST", "honest_never_reused"),
    "no rest, with a key": ("BUG_NO_REST KEYED IGNORE_THE_JAR", "honest_never_reused"),
    "no Wait": ("BUG_NO_WAIT", "honest_never_reused"),
    "a cookie set again though unchanged": (
        "BUG_COOKIE_SET_THOUGH_UNCHANGED KEYED",
        "jar_keeps_the_newest",
    ),
    "a cookie set again though unchanged: what becomes of the browser": (
        "BUG_COOKIE_SET_THOUGH_UNCHANGED IGNORE_THE_JAR",
        "honest_never_reused",
    ),
    "a retry in the grace that leaves no mark": ("BUG_GRACE_LEAVES_NO_MARK UP=1 DOWN=0", "honest_never_reused"),
    "a mark set by a decision of the grace when the grace is over": (
        "BUG_MARK_AFTER_THE_GRACE UP=1 DOWN=0",
        "honest_never_reused",
    ),
    "a swap that writes the time of the reading before it": (
        "BUG_TIME_OF_THE_READING_WRITTEN UP=1 DOWN=0",
        "honest_never_reused",
    ),
    "no new start by key": ("BUG_NO_NEW_START_BY_KEY KEYED", "honest_never_reused"),
    "the predecessor answered for ever": (
        f"BUG_PREDECESSOR_FOR_EVER THIEF {ONE_TAB} NEWEST=3",
        "no_turns_for_ever",
    ),
    "recovery of a generation that was seen": (
        f"BUG_ACKNOWLEDGED_RECOVERED THIEF {ONE_TAB} NEWEST=3",
        "acknowledged_theft_ends",
    ),
    "a grace for any old generation": (
        f"BUG_GRACE_FOR_ANY_OLD_GENERATION THIEF {ONE_TAB}",
        "acknowledged_theft_ends",
    ),
    "ending outside the row's lock": (
        "BUG_END_OUTSIDE_THE_LOCK KEYED END UP=1 DOWN=0",
        "nothing_after_the_end",
    ),
    "a stall of the server taken for theft": (
        "BUG_STALL_IS_THEFT STALLED CLOSE_UNSEEN TABS=1 UP=1 DOWN=0 NEWEST=3",
        "honest_never_reused",
    ),
    "a recovery by a server that stood still": (
        "BUG_LATE_RECOVERS STALLED CLOSE_UNSEEN TABS=1 UP=1 DOWN=0 NEWEST=3",
        "honest_never_reused",
    ),
    "a request presented though its connection is closed": (
        "BUG_ABANDONED_PRESENTED STALLED TABS=1 UP=1 DOWN=0 NEWEST=3",
        "abandoned_not_presented",
    ),
    "exp from signing time": (
        "BUG_EXP_FROM_SIGNING LEASE END KEYED UP=0 DOWN=1",
        "never_past_its_revocation",
    ),
    "exp past the session": (
        "BUG_EXP_PAST_THE_SESSION LEASE END KEYED UP=0 DOWN=1",
        "never_past_the_session",
    ),
    "the successor of what was presented answered, not the current token": (
        f"BUG_SUCCESSOR_ANSWERED {ONE_TAB}",
        "one_chain",
    ),
    "a token that came of age while the row was read counted as reuse": (
        "BUG_RIPE_AT_READING_IS_REUSE KEYED UP=1 DOWN=0",
        "honest_never_reused",
    ),
    "a token ahead of the store counted as reuse": (
        "BUG_AHEAD_IS_REUSE LOST_WRITES KEYED UP=1 DOWN=0",
        "honest_never_reused",
    ),
}


@pytest.mark.parametrize(("choice", "rule"), BUGS.values(), ids=BUGS)
def test_a_seeded_bug_breaks_its_rule(choice: str, rule: str, tmp_path: Path) -> None:
    ROTATION.breaks(tmp_path, choice, rule)


# Where the sentences of the protocol promise more than its table keeps, and what would keep them.

PROMISED_TOO_MUCH = {
    "a rest of three graces where each request has the grace for itself": (
        "WORDING_EACH_REQUEST KEYED",
        "honest_never_reused",
    ),
    "a grace for each request by itself, without a key": (
        "WORDING_EACH_REQUEST MORE_REST=1",
        "honest_never_reused",
    ),
    "an end at the second turn although replies were lost": (
        f"WORDING_SECOND_PRESENTATION THIEF {ONE_TAB} RECOVERIES=3 NEWEST=3",
        "no_turns_for_ever",
    ),
    "a grace of zero, which is also a rest of zero": ("GRACE=0 KEYED", "honest_never_reused"),
}
WOULD_KEEP_IT = {
    "more rest than three graces": "WORDING_EACH_REQUEST KEYED MORE_REST=1 NEWEST=3",
    "a rest although the grace is zero": "GRACE=0 KEYED MORE_REST=6",
}


@pytest.mark.parametrize(("choice", "rule"), PROMISED_TOO_MUCH.values(), ids=PROMISED_TOO_MUCH)
def test_a_counterexample_to_the_protocol_is_known(choice: str, rule: str, tmp_path: Path) -> None:
    ROTATION.breaks(tmp_path, choice, rule)


@pytest.mark.slow
@pytest.mark.parametrize("choice", WOULD_KEEP_IT.values(), ids=WOULD_KEEP_IT)
def test_a_counterexample_to_the_protocol_has_a_remedy(choice: str, tmp_path: Path) -> None:
    ROTATION.holds(tmp_path, choice)


# A row of the table that no scenario comes to would be checked by nothing.

ROWS = {
    "Rotated": "KEYED",
    "Young": "KEYED",
    "Grace": "KEYED",
    "Attempt": "KEYED",
    "Wait": "TABS=1",
    "Recovered": "TABS=1",
    "Displaced": f"THIEF {ONE_TAB}",
    "Reused": f"THIEF {ONE_TAB}",
    "Refused": "KEYED END",
    "Ahead": "LOST_WRITES KEYED UP=1 DOWN=0 NEWEST=2",
}


@pytest.mark.parametrize(("row", "choice"), ROWS.items(), ids=ROWS)
def test_a_row_of_the_table_is_reached(row: str, choice: str, tmp_path: Path) -> None:
    ROTATION.breaks(tmp_path, f"{choice} REACH={row}", "never_reached")
