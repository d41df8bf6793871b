"""What became of a session, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.blocking import run_blocking
from doorward.cli.timeline import CAUSES, conclusion, timeline
from doorward.sessions.model import EndReason, Sighting

Command = Callable[..., Any]
EPOCH = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOME = Origin(ip="192.0.2.7", user_agent="Firefox")
CAFE = Origin(ip="198.51.100.9", user_agent="Firefox")


def an_event(
    action: Action, *, after: float = 0, origin: Origin = HOME, name: str | None = None, **detail: Any
) -> AuditEvent:
    at = EPOCH + timedelta(seconds=after)
    return AuditEvent(
        action=action,
        actor=Actor(name=name, origin=origin),
        account="a",
        session="s",
        detail=detail,
        at=at,
        id=int(after),
    )


def told(*events: AuditEvent, every: bool = False) -> list[str]:
    return [line.text for line in timeline(events, every=every)]


def test_it_lists_what_stands_and_ends_one(database: Command, application: Any) -> None:
    first, second = application.sign_in().session.id, application.sign_in().session.id
    listed = database("sessions", "list", "--account", "ada@example.com", "--json").json["sessions"]
    assert {each["id"] for each in listed} == {first, second}
    assert database("sessions", "end", first).out == "Ended: 1 session.\n"
    listed = database("sessions", "list", "--account", "ada@example.com", "--json").json["sessions"]
    assert [each["id"] for each in listed] == [second]
    assert database("sessions", "end", first).code == 1


def test_all_sessions_of_an_account_end_together(database: Command, application: Any) -> None:
    for _ in range(3):
        application.sign_in()
    assert database("sessions", "end", "--account", "ada@example.com", "--json").json == {"revoked": 3}


@pytest.mark.parametrize("arguments", [[], ["some-id", "--account", "ada@example.com"]])
def test_what_to_end_is_said_once(database: Command, arguments: list[str]) -> None:
    assert database("sessions", "end", *arguments).code == 2


def test_a_session_that_stands_is_explained(database: Command, application: Any) -> None:
    session = application.sign_in().session.id
    text = database("sessions", "explain", session).out
    assert "Started from 192.0.2.7, Firefox, under the strategy hybrid, carried by token." in text
    assert "This session stands." in text


def test_a_session_that_was_ended_is_explained_with_who_and_why(database: Command, application: Any) -> None:
    session = application.sign_in().session.id
    database("sessions", "end", session)
    done = database("sessions", "explain", session)
    assert "Ended by command-line: an administrator ended it." in done.out
    assert "This session has been over since" in done.out
    answer = database("sessions", "explain", session, "--json").json
    assert [each["action"] for each in answer["events"]] == ["session.started", "session.ended"]
    assert answer["conclusion"].endswith("an administrator ended it.")


def test_a_reused_refresh_token_is_told_from_the_real_trail(database: Command, application: Any) -> None:
    signed_in = application.sign_in()
    token = signed_in.credentials.refresh_token
    with application.open() as auth:
        newer = run_blocking(auth.refresh(token, origin=HOME)).credentials
        # Seeing the access token proves that its reply arrived: the predecessor is spent.
        run_blocking(auth.authenticate(bearer=newer.access_token.text))
    text = database("sessions", "explain", signed_in.session.id).out
    assert "Its refresh token rotated; now generation 1." in text


def test_a_session_that_there_is_not_exits_with_1(database: Command) -> None:
    done = database("sessions", "explain", "nothing")
    assert done.code == 1
    assert "No session has this id" in done.err


def test_rotations_that_follow_one_another_are_one_line_unless_all_are_asked_for() -> None:
    life = [an_event(Action.REFRESH_ROTATED, after=900 * number, generation=number) for number in range(1, 97)]
    assert told(*life) == ["Its refresh token rotated 96 times in 23 hours 45 minutes; now generation 96."]
    assert len(told(*life, every=True)) == 96


def test_a_change_of_address_stands_between() -> None:
    assert told(
        an_event(Action.SESSION_STARTED, strategy="hybrid", carrier="token"),
        an_event(Action.REFRESH_ROTATED, after=900, generation=1),
        an_event(Action.REFRESH_ROTATED, after=1800, generation=2, origin=CAFE),
    ) == [
        "Started from 192.0.2.7, Firefox, under the strategy hybrid, carried by token.",
        "Its refresh token rotated; now generation 1.",
        "From here on from 198.51.100.9, Firefox; before from 192.0.2.7, Firefox.",
        "Its refresh token rotated; now generation 2.",
    ]


def test_an_end_by_the_command_line_is_no_change_of_address() -> None:
    assert told(
        an_event(Action.SESSION_STARTED, strategy="hybrid", carrier="token"),
        an_event(Action.SESSION_ENDED, after=5, origin=Origin(), name="command-line", reason="admin"),
    )[1:] == ["Ended by command-line: an administrator ended it."]


def test_reuse_tells_who_held_which_copy() -> None:
    (line,) = told(
        an_event(
            Action.REFRESH_REUSED,
            presented=3,
            current=5,
            elsewhere=True,
            other_ip="203.0.113.5",
            other_user_agent="curl",
        )
    )
    assert line == (
        "REUSE: the refresh token of generation 3 came when 5 was current, from 192.0.2.7, Firefox,"
        " while the newer one had gone to 203.0.113.5, curl."
    )


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_cause_has_its_words(reason: EndReason) -> None:
    assert CAUSES[reason]
    assert CAUSES[reason] in told(an_event(Action.SESSION_ENDED, reason=reason.value, name="a"))[0]


@pytest.mark.parametrize("action", list(Action))
def test_every_event_can_be_told_even_without_its_details(action: Action) -> None:
    (line,) = told(an_event(action))
    assert line.endswith(".")


def test_a_row_that_is_gone_is_judged_by_its_trail() -> None:
    gone = Sighting(session=None, account=None, at=EPOCH)
    assert CAUSES[EndReason.REUSE] in conclusion(gone, [an_event(Action.SESSION_ENDED, reason="reuse")])
    assert "does not say why" in conclusion(gone, [an_event(Action.SESSION_STARTED)])


def test_everybody_is_signed_out_once_that_has_been_confirmed(database: Command, application: Any) -> None:
    sessions = [application.sign_in().session.id for _ in range(3)]
    asked = database("sessions", "end", "--everybody", stdin="n\n")
    assert (asked.code, asked.out.strip()) == (1, "")
    assert "Sign out everybody" in asked.err
    assert database("sessions", "end", "--everybody", "--yes").out == "Ended: 3 sessions.\n"
    assert database("sessions", "end", "--everybody", "--yes", "--json").json == {"revoked": 0}
    assert "an administrator" in database("sessions", "explain", sessions[0]).out
    assert database("sessions", "end", sessions[0], "--everybody").code == 2
