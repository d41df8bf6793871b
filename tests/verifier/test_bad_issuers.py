"""Whatever an issuer sends: bounded work, one line in the log, and right answers to the tokens that come meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorward.errors import InvalidToken
from doorward.revocation.model import Kind, Revocation
from doorward.verifier import NotFresh, State, Verifier, transport
from doorward.verifier.keyset import KEY_SET_PATH
from doorward.wire.feed import (
    DIGEST_PATH,
    LONGEST_LINE,
    STREAM_PATH,
    Reading,
    Revoked,
    write_digests,
    write_event,
    write_snapshot,
)
from tests.verifier.conftest import FakeTicks, Verifiers, eventually
from tests.verifier.issuer import Answer, Handler, Issuer

ELSEWHERE = "/elsewhere"


def streaming(*pieces: bytes) -> Answer:
    """A stream that sends this and ends."""

    def answer(handler: Handler) -> None:
        handler.begin_stream()
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def raw(*pieces: bytes) -> Answer:
    """What is sent in the place of an answer."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def trickling(beginning: bytes, crumb: bytes) -> Answer:
    """An answer that never ends and never stops."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(beginning)
        pause = threading.Event()
        for _ in range(1000):
            handler.wfile.write(crumb)
            pause.wait(0.01)

    return answer


def sending(status: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda handler: handler.send(status, body, **headers)


def an_entry(**changes: Any) -> Revocation:
    now = datetime.now(UTC)
    return replace(Revocation(kind=Kind.SESSION, id="ses_9", dies_at=now + timedelta(minutes=17)), **changes)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
LIVES_TOO_LONG = an_entry(dies_at=datetime.now(UTC) + timedelta(days=3))
BAD_STREAMS: dict[str, Answer] = {
    "garbage": streaming(b"event: revoked\ndata: garbage\n\n"),
    "binary garbage": streaming(bytes(range(256)) * 100, b"\n\ndata:\n\n"),
    "a line without end": streaming(*[b"x" * 65536] * (LONGEST_LINE // 65536 + 2)),
    "an entry that lives too long": streaming(write_event(Revoked(revocations=(LIVES_TOO_LONG,)))),
    "the end in the middle of a frame": streaming(write_event(Revoked(revocations=(an_entry(),)))[:40]),
    "the end before anything": streaming(),
    "no HTTP": raw(b"\x16\x03\x01 hello"),
    "nothing": raw(),
    "a bad chunk": raw(STREAM, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
    "headers without number": raw(STREAM, *[b"X-More: y\r\n"] * 500),
    "a header without end": raw(STREAM, b"X-More: ", *[b"y" * 65536] * 3),
    "headers that never end": trickling(STREAM, b"X"),
    "a redirect": sending(302, Location=ELSEWHERE),
    "not this credential": sending(401),
    "not now": sending(503, Retry_After="0"),
    "another type": sending(200, b"<p>Welcome</p>"),
    "no content": sending(204),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(transport, "ANSWER_WITHIN", timedelta(seconds=0.5))
    monkeypatch.setattr(transport, "SILENCE", timedelta(seconds=3))
    caplog.set_level(logging.INFO, "doorward.verifier")


@pytest.fixture
def sound(issuer: Issuer) -> Iterator[dict[str, Answer]]:
    """The answers of a sound issuer; what a bad one is asked elsewhere is a failure."""
    yield dict(issuer.answers)
    assert issuer.count(ELSEWHERE) == 0


def lines(caplog: pytest.LogCaptureFixture, topic: str) -> list[str]:
    records = caplog.records
    assert all(record.levelno < logging.ERROR for record in records), [record.message for record in records]
    return [record.message for record in records if record.message.startswith(f"verifier: {topic}: ")]


def accepts(verifier: Verifier, token: str, **demand: Any) -> bool:
    try:
        verifier.verify(token, **demand)
    except (InvalidToken, NotFresh):
        return False
    return True


@pytest.mark.parametrize("answer", BAD_STREAMS.values(), ids=list(BAD_STREAMS))
def test_a_bad_stream_is_told_of_once_and_left_and_does_not_disturb_the_answers(
    issuer: Issuer,
    a_verifier: Verifiers,
    sound: dict[str, Answer],
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
) -> None:
    issuer.answers[STREAM_PATH] = answer
    verifier, token = a_verifier(start_within=timedelta(0)), issuer.a_token()
    eventually(lambda: verifier.state.keys == 1)
    issuer.wait_for(STREAM_PATH, 3)
    assert accepts(verifier, token)
    assert not accepts(verifier, token, revocation="immediate")
    assert not accepts(verifier, issuer.a_token(aud="elsewhere"))
    assert len(lines(caplog, "stream")) == 1
    issuer.revoke(name="ses_2")
    issuer.answers[STREAM_PATH] = sound[STREAM_PATH]
    eventually(lambda: accepts(verifier, token, revocation="immediate"))
    assert not accepts(verifier, issuer.a_token(sid="ses_2"))
    assert len(lines(caplog, "stream")) == 1


def test_a_snapshot_that_never_ends_is_given_up(
    issuer: Issuer, a_verifier: Verifiers, sound: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = FakeTicks()
    issuer.answers[STREAM_PATH] = trickling(STREAM + b"\r\n", b":\n")
    verifier = a_verifier(start_within=timedelta(0), ticks=ticks)
    issuer.wait_for(STREAM_PATH, 1)
    issuer.answers[STREAM_PATH] = sound[STREAM_PATH]
    issuer.revoke(announced=False)
    ticks.moved = 60
    eventually(lambda: verifier.state.state is State.FRESH)


BAD_DIGESTS: dict[str, Answer] = {
    "garbage": sending(200, b"garbage"),
    "nothing changed, though nobody had asked": sending(304),
    "too large": sending(200, b" " * (LONGEST_LINE + 2)),
    "a digest that is wrong for ever": lambda handler: handler.send(
        200, write_digests(replace(handler.server.heartbeat(), digests={2**40: "0" * 32}))
    ),
    "a redirect": sending(307, Location=ELSEWHERE),
    "not now": sending(503),
    "a body that never ends": trickling(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
    "no HTTP": raw(b"\x00" * 100),
}


@pytest.mark.parametrize("answer", BAD_DIGESTS.values(), ids=list(BAD_DIGESTS))
def test_without_good_digests_nothing_stays_fresh_and_revocations_still_arrive(
    issuer: Issuer,
    a_verifier: Verifiers,
    sound: dict[str, Answer],
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
) -> None:
    issuer.answers[DIGEST_PATH] = answer
    ticks = FakeTicks()
    verifier, token = a_verifier(max_staleness=timedelta(seconds=1), ticks=ticks), issuer.a_token()
    ticks.moved = 5
    assert not accepts(verifier, token, revocation="immediate")
    eventually(lambda: len(lines(caplog, "digest")) == 1)
    assert accepts(verifier, token)
    issuer.revoke()
    eventually(lambda: not accepts(verifier, token))
    issuer.answers[DIGEST_PATH] = sound[DIGEST_PATH]
    eventually(lambda: accepts(verifier, issuer.a_token(sid="ses_2"), revocation="immediate"))
    assert sum("good again" not in line for line in lines(caplog, "digest")) == 1


@pytest.mark.usefixtures("sound")
def test_an_old_snapshot_that_is_sent_again_makes_nothing_fresh_and_takes_nothing_back(
    issuer: Issuer, a_verifier: Verifiers, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = FakeTicks()
    verifier, token = a_verifier(ticks=ticks), issuer.a_token()
    now = datetime.now(UTC)
    old = b"".join(write_snapshot([], reading=Reading(as_of=now, now=now), id="feed-0"))
    issuer.revoke()
    eventually(lambda: not accepts(verifier, token))
    issuer.answers[DIGEST_PATH] = sending(503)
    issuer.answers[STREAM_PATH] = streaming(old)
    issuer.cut_streams()
    ticks.moved = 60
    before = issuer.count(STREAM_PATH)
    issuer.wait_for(STREAM_PATH, before + 2)
    assert verifier.state.state is State.STALE
    assert not accepts(verifier, token)
    # What is asked is not answered, and what is told is old: one trouble, of two causes.
    assert len(lines(caplog, "digest")) == 1


@pytest.mark.usefixtures("sound")
def test_heartbeats_from_the_future_change_nothing_and_are_told_of_once(
    issuer: Issuer, a_verifier: Verifiers, caplog: pytest.LogCaptureFixture
) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    issuer.revoke(name="ses_2")
    eventually(lambda: verifier.state.live_revocations == 1)
    heartbeat = issuer.heartbeat
    tomorrow = timedelta(days=1)

    def of_tomorrow() -> Any:
        sound = heartbeat()
        return replace(sound, reading=Reading(as_of=sound.reading.as_of + tomorrow, now=sound.reading.now + tomorrow))

    issuer.heartbeat = of_tomorrow  # type: ignore[method-assign]
    asked = issuer.count(DIGEST_PATH)
    issuer.wait_for(DIGEST_PATH, asked + 2)
    assert accepts(verifier, token)
    assert verifier.state.live_revocations == 1
    assert not accepts(verifier, issuer.a_token(sid="ses_2"))
    eventually(lambda: not accepts(verifier, token, revocation="immediate"))
    assert len(lines(caplog, "clock")) == 1
    issuer.heartbeat = heartbeat  # type: ignore[method-assign]
    eventually(lambda: accepts(verifier, token, revocation="immediate"))


BAD_KEY_SETS: dict[str, Answer] = {
    "garbage": sending(200, b"garbage"),
    "empty": sending(200, b'{"keys":[]}'),
    "too large": sending(200, b" " * (256 * 1024 + 2)),
    "a redirect": sending(301, Location=ELSEWHERE),
    "not found": sending(404),
    "headers that never end": trickling(b"HTTP/1.1 200 OK\r\n", b"X"),
}


@pytest.mark.parametrize("answer", BAD_KEY_SETS.values(), ids=list(BAD_KEY_SETS))
def test_a_bad_key_set_takes_no_key_away_and_is_told_of_once(
    issuer: Issuer,
    a_verifier: Verifiers,
    sound: dict[str, Answer],
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
) -> None:
    ticks = FakeTicks()
    issuer.answers[KEY_SET_PATH] = answer
    verifier, token = a_verifier(ticks=ticks, start_within=timedelta(0)), issuer.a_token()
    issuer.wait_for(KEY_SET_PATH, 2)
    with pytest.raises(NotFresh):
        verifier.verify(token)
    issuer.answers[KEY_SET_PATH] = sound[KEY_SET_PATH]
    eventually(lambda: accepts(verifier, token))
    issuer.answers[KEY_SET_PATH] = answer
    fetched = issuer.count(KEY_SET_PATH)
    ticks.moved += 3600
    issuer.wait_for(KEY_SET_PATH, fetched + 1)
    ticks.moved += 3600
    issuer.wait_for(KEY_SET_PATH, fetched + 2)
    assert accepts(verifier, token)
    assert sum("good again" not in line for line in lines(caplog, "keys")) == 2


@pytest.mark.usefixtures("sound")
def test_a_server_that_falls_silent_is_left(issuer: Issuer, a_verifier: Verifiers) -> None:
    a_verifier()
    silence = threading.Event()

    def fall_silent(handler: Handler) -> None:
        handler.begin_stream()
        silence.wait(30)

    issuer.answers[STREAM_PATH] = fall_silent
    issuer.cut_streams()
    issuer.wait_for(STREAM_PATH, 3)
    silence.set()


def test_nothing_that_an_issuer_sends_is_quoted_in_the_log(
    issuer: Issuer, a_verifier: Verifiers, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.answers = dict.fromkeys(issuer.answers, raw(b"HTTP/1.1 hunter2\nhunter2\r\n\r\nhunter2"))
    a_verifier(start_within=timedelta(0))
    issuer.wait_for(STREAM_PATH, 2)
    issuer.wait_for(KEY_SET_PATH, 2)
    eventually(lambda: len(lines(caplog, "stream")) == len(lines(caplog, "keys")) == 1)
    assert "hunter2" not in caplog.text
