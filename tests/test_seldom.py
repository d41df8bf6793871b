"""A warning that would come with every request is logged once a minute."""

from __future__ import annotations

import logging

import pytest

from doorward.seldom import LOGGED_EVERY, Seldom


def test_a_warning_is_logged_once_a_minute_with_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now, minute = [0.0], LOGGED_EVERY.total_seconds()
    seldom = Seldom(logging.getLogger("doorward.tests"), ticks=lambda: now[0])
    for at in (0.0, 0.0, minute - 0.1):
        now[0] = at
        seldom.warning("session %s is not noted", "a")
    seldom.warning("another of %s", "b")
    now[0] = minute
    seldom.warning("session %s is not noted", "c")
    seldom.warning("session %s is not noted", "d")
    assert [record.getMessage() for record in caplog.records] == [
        "session a is not noted",
        "another of b",
        "session c is not noted (2 more in the last 60 s)",
    ]
