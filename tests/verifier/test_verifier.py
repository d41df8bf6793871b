"""A verifier and an issuer on loopback: what is accepted, what is refused, and who is asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorward.errors import Busy, InvalidToken, NotPermitted, Unavailable
from doorward.keys.model import Algorithm, generate_signing_key
from doorward.revocation.model import Kind
from doorward.testing import FakeClock
from doorward.verifier import NotFresh, State, Verifier
from doorward.verifier.keyset import KEY_SET_PATH
from doorward.verifier.transport import INTROSPECTION_PATH
from doorward.wire.feed import DIGEST_PATH, STREAM_PATH
from tests.tokens.minting import EDDSA, ES256, RS256
from tests.verifier.conftest import FakeTicks, Verifiers, eventually
from tests.verifier.issuer import AUDIENCE, CREDENTIAL, Answer, Handler, Issuer


def refuses(verifier: Verifier, token: str, **demand: Any) -> bool:
    try:
        verifier.verify(token, **demand)
    except InvalidToken:
        return True
    return False


def unavailable(handler: Handler) -> None:
    handler.send(503)


def silent_until(release: threading.Event) -> Answer:
    def answer(_: Handler) -> None:
        release.wait(30)

    return answer


def cut_off(issuer: Issuer) -> None:
    """The feed is gone; keys and introspection are there."""
    issuer.answers[STREAM_PATH] = issuer.answers[DIGEST_PATH] = unavailable
    issuer.cut_streams()


def a_stale(a_verifier: Verifiers, issuer: Issuer, **changes: Any) -> Verifier:
    ticks = FakeTicks()
    verifier = a_verifier(ticks=ticks, **changes)
    cut_off(issuer)
    eventually(lambda: verifier.state.reconnects > 0)
    ticks.moved = 30
    eventually(lambda: verifier.state.state is State.STALE)
    return verifier


def test_a_token_is_accepted_and_says_who_makes_the_request(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier()
    principal = verifier.verify(issuer.a_token(), revocation="immediate")
    assert principal.subject == "acc_ada"
    assert principal.session_id == "ses_1"
    assert principal.scopes == {"read", "write"}
    assert principal.carrier == "token"
    with pytest.raises(NotPermitted):
        principal.require(roles={"admin"})


def test_a_token_is_verified_once_and_remembered(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    assert verifier.verify(token) is verifier.verify(token)
    state = verifier.state
    assert (state.misses, state.hits, state.tokens_remembered) == (1, 1, 1)


@pytest.mark.parametrize(
    "changes", [{"aud": "elsewhere"}, {"iss": "https://auth.example.org"}, {"exp": 1}, {"key": EDDSA}], ids=str
)
def test_a_token_that_is_not_ours_not_now_or_not_for_us_is_refused(
    issuer: Issuer, a_verifier: Verifiers, changes: dict[str, Any]
) -> None:
    assert refuses(a_verifier(), issuer.a_token(**changes))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "\ud800", "." * 10_000])
def test_anything_else_is_refused_as_well(a_verifier: Verifiers, text: str) -> None:
    assert refuses(a_verifier(), text)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(Kind.SESSION, "ses_1", 1), (Kind.ACCOUNT, "acc_ada", 2), (Kind.TOKEN, "tok_1", 1), (Kind.KEY, ES256.kid, 1)],
)
def test_what_is_revoked_is_refused_though_it_is_remembered(
    issuer: Issuer, a_verifier: Verifiers, kind: Kind, name: str, value: int
) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    verifier.verify(token)
    issuer.revoke(kind, name, value)
    eventually(lambda: refuses(verifier, token))
    assert verifier.state.live_revocations == 1


def test_what_is_not_revoked_is_accepted_beside_what_is(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier()
    issuer.revoke(Kind.ACCOUNT, "acc_ada", 2)
    eventually(lambda: verifier.state.live_revocations == 1)
    assert refuses(verifier, issuer.a_token())
    verifier.verify(issuer.a_token(ver=2))
    verifier.verify(issuer.a_token(sub="acc_bob", sid="ses_2"))


def test_a_revocation_from_before_the_start_is_known(issuer: Issuer, a_verifier: Verifiers) -> None:
    issuer.revoke()
    assert refuses(a_verifier(), issuer.a_token())


def test_a_revocation_that_was_never_announced_is_learned_by_the_digests(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    issuer.revoke(announced=False)
    eventually(lambda: refuses(verifier, token))
    assert issuer.count(STREAM_PATH) >= 2


def test_what_is_known_survives_a_server_that_forgets(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    issuer.revoke()
    eventually(lambda: refuses(verifier, token))
    issuer.live.expire(now=datetime.max.replace(tzinfo=UTC))
    issuer.cut_streams()
    issuer.wait_for(STREAM_PATH, 2)
    eventually(lambda: verifier.state.state is State.FRESH)
    assert refuses(verifier, token)


# Keys


def test_a_new_key_is_fetched_when_the_feed_says_so(issuer: Issuer, a_verifier: Verifiers) -> None:
    ticks = FakeTicks()
    verifier = a_verifier(ticks=ticks)
    issuer.keys.append(EDDSA)
    ticks.moved = 11  # beyond the cool-down
    issuer.announce_keys()
    eventually(lambda: verifier.state.keys == 2)
    verifier.verify(issuer.a_token(key=EDDSA))


def test_a_thousand_unknown_keys_cause_one_fetch_and_one_line_in_the_log(
    issuer: Issuer, a_verifier: Verifiers, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = FakeTicks()
    verifier = a_verifier(ticks=ticks)
    fetched = issuer.count(KEY_SET_PATH)
    token = issuer.a_token(key=EDDSA)
    assert all(refuses(verifier, token) for _ in range(1000))
    assert issuer.count(KEY_SET_PATH) == fetched
    ticks.moved = 11
    assert refuses(verifier, token)
    issuer.wait_for(KEY_SET_PATH, fetched + 1)
    assert all(refuses(verifier, token) for _ in range(1000))
    assert issuer.count(KEY_SET_PATH) == fetched + 1
    assert [line for line in caplog.messages if "unknown key" in line] == [
        "verifier: unknown key: a token names a key that the issuer has not published"
    ]


def test_a_token_of_a_new_key_is_accepted_once_the_key_has_been_fetched_for_it(
    issuer: Issuer, a_verifier: Verifiers
) -> None:
    ticks = FakeTicks()
    verifier = a_verifier(ticks=ticks)
    issuer.keys.append(RS256)
    ticks.moved = 11
    token = issuer.a_token(key=RS256)
    eventually(lambda: not refuses(verifier, token))


def test_a_key_that_leaves_the_set_verifies_nothing_any_more_not_even_what_is_remembered(
    issuer: Issuer, a_verifier: Verifiers
) -> None:
    ticks = FakeTicks()
    verifier, token = a_verifier(ticks=ticks), issuer.a_token()
    verifier.verify(token)
    issuer.keys = [EDDSA]
    ticks.moved = 11
    issuer.announce_keys()
    eventually(lambda: refuses(verifier, token))


def test_another_key_by_the_same_name_takes_the_place_of_the_first(issuer: Issuer, a_verifier: Verifiers) -> None:
    ticks = FakeTicks()
    verifier, token = a_verifier(ticks=ticks), issuer.a_token()
    verifier.verify(token)
    issuer.keys = [replace(generate_signing_key(Algorithm.ES256), kid=ES256.kid)]
    ticks.moved = 11
    issuer.announce_keys()
    eventually(lambda: refuses(verifier, token))


def test_the_keys_stay_while_the_issuer_is_down(issuer: Issuer, a_verifier: Verifiers) -> None:
    ticks = FakeTicks()
    verifier = a_verifier(ticks=ticks)
    issuer.answers[KEY_SET_PATH] = unavailable
    fetched = issuer.count(KEY_SET_PATH)
    ticks.moved = 3600
    issuer.wait_for(KEY_SET_PATH, fetched + 1)
    verifier.verify(issuer.a_token())


# Policies


def test_stale_and_allowed_is_accepted_and_the_log_says_it_once(
    issuer: Issuer, a_verifier: Verifiers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "doorward.verifier")
    verifier = a_stale(a_verifier, issuer)
    verifier.verify(issuer.a_token())
    said = "revocations are not known to be fresh any more"
    eventually(lambda: said in caplog.text)
    assert sum(said in record.message for record in caplog.records) == 1


def test_stale_and_denied_is_not_the_callers_fault(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier, token = a_stale(a_verifier, issuer, on_stale="deny"), issuer.a_token()
    with pytest.raises(NotFresh) as caught:
        verifier.verify(token)
    assert isinstance(caught.value, Unavailable)
    assert caught.value.retry_after > timedelta()


@pytest.mark.parametrize("on_stale", ["allow", "introspect", "deny"])
def test_immediate_is_refused_while_stale_whatever_the_policy(
    issuer: Issuer, a_verifier: Verifiers, on_stale: str
) -> None:
    verifier = a_stale(a_verifier, issuer, on_stale=on_stale)
    with pytest.raises(NotFresh):
        verifier.verify(issuer.a_token(), revocation="immediate")
    assert issuer.count(INTROSPECTION_PATH) == 0


def test_what_is_known_to_be_revoked_is_refused_as_such_while_stale(issuer: Issuer, a_verifier: Verifiers) -> None:
    issuer.revoke()
    verifier = a_stale(a_verifier, issuer, on_stale="deny")
    assert refuses(verifier, issuer.a_token())
    assert refuses(verifier, issuer.a_token(), revocation="immediate")


def test_introspection_asks_the_issuer_only_while_stale(issuer: Issuer, a_verifier: Verifiers) -> None:
    ticks = FakeTicks()
    verifier, token = a_verifier(on_stale="introspect", ticks=ticks), issuer.a_token()
    verifier.verify(token)
    assert issuer.count(INTROSPECTION_PATH) == 0
    cut_off(issuer)
    eventually(lambda: verifier.state.reconnects > 0)
    ticks.moved = 30
    verifier.verify(token)
    assert issuer.count(INTROSPECTION_PATH) == 1
    assert issuer.requests[-1][1]["Authorization"] == f"Bearer {CREDENTIAL}"
    issuer.active = False
    assert refuses(verifier, token)


def test_a_token_that_is_not_genuine_is_never_sent_to_the_issuer(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_stale(a_verifier, issuer, on_stale="introspect")
    assert refuses(verifier, issuer.a_token(aud="elsewhere"))
    assert issuer.count(INTROSPECTION_PATH) == 0


@pytest.mark.parametrize("body", [b"", b"[]", b'{"active": "true"}', b'{"active": 1}', b"[" * 5000, b"x" * 70_000])
def test_an_answer_that_does_not_say_active_accepts_nothing(issuer: Issuer, a_verifier: Verifiers, body: bytes) -> None:
    verifier = a_stale(a_verifier, issuer, on_stale="introspect")
    issuer.answers[INTROSPECTION_PATH] = lambda handler: handler.send(200, body)
    with pytest.raises(NotFresh):
        verifier.verify(issuer.a_token())


def test_an_issuer_that_does_not_answer_in_time_is_not_waited_for(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_stale(a_verifier, issuer, on_stale="introspect", introspect_within=timedelta(seconds=0.2))
    release = threading.Event()
    issuer.answers[INTROSPECTION_PATH] = silent_until(release)
    try:
        with pytest.raises(NotFresh):
            verifier.verify(issuer.a_token())
    finally:
        release.set()


@pytest.mark.anyio
async def test_an_event_loop_goes_on_while_the_issuer_is_asked(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = await asyncio.to_thread(a_stale, a_verifier, issuer, on_stale="introspect")
    asked, answered = threading.Event(), threading.Event()

    def wait_for_the_loop(handler: Handler) -> None:
        asked.set()
        answered.wait(20)
        issuer.introspection(handler)

    issuer.answers[INTROSPECTION_PATH] = wait_for_the_loop
    verifying = asyncio.create_task(verifier.verify_async(issuer.a_token()))
    await asyncio.to_thread(asked.wait, 20)
    answered.set()  # by this loop, which therefore was not blocked
    assert (await verifying).subject == "acc_ada"


def test_no_more_questions_than_a_bound_are_open_at_once(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_stale(a_verifier, issuer, on_stale="introspect", introspect_within=timedelta(seconds=20))
    release = threading.Event()

    def wait(handler: Handler) -> None:
        release.wait(30)
        issuer.introspection(handler)

    issuer.answers[INTROSPECTION_PATH] = wait
    token = issuer.a_token()
    threads = [threading.Thread(target=verifier.verify, args=[token]) for _ in range(32)]
    for thread in threads:
        thread.start()
    issuer.wait_for(INTROSPECTION_PATH, 32)
    with pytest.raises(Busy):
        verifier.verify(token)
    release.set()
    for thread in threads:
        thread.join()


def test_a_clock_that_falls_behind_the_issuers_is_not_trusted_with_what_must_be_fresh(
    issuer: Issuer, a_verifier: Verifiers
) -> None:
    behind = timedelta(0)
    verifier = a_verifier(clock=lambda: datetime.now(UTC) - behind)
    now = int(datetime.now(UTC).timestamp())
    token = issuer.a_token(iat=now - 600, exp=now + 300)
    verifier.verify(token, revocation="immediate")
    behind = timedelta(seconds=50)
    verifier.verify(token, revocation="immediate")
    behind = timedelta(seconds=70)
    with pytest.raises(NotFresh):
        verifier.verify(token, revocation="immediate")


@pytest.mark.parametrize("remembered", [2, 100])
def test_a_remembered_token_is_checked_anew_at_its_end_and_before_its_beginning(
    issuer: Issuer, a_verifier: Verifiers, remembered: int
) -> None:
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    issuer.now = clock
    verifier, token = a_verifier(clock=clock, tokens_remembered=remembered), issuer.a_token()
    verifier.verify(token)
    clock.move(timedelta(seconds=900 + 59))
    verifier.verify(token)
    clock.move(timedelta(seconds=1))
    assert refuses(verifier, token)
    clock.move(timedelta(hours=-2))
    assert refuses(verifier, token)


def test_an_unknown_demand_is_an_error_and_accepts_nothing(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_stale(a_verifier, issuer)
    with pytest.raises(ValueError, match="revocation"):
        verifier.verify(issuer.a_token(), revocation="imediate")  # type: ignore[arg-type]


# Starting and ending


def test_an_issuer_that_is_down_at_the_start_keeps_no_service_from_starting(
    issuer: Issuer, a_verifier: Verifiers
) -> None:
    answers, issuer.answers = issuer.answers, dict.fromkeys(issuer.answers, unavailable)
    verifier, token = a_verifier(start_within=timedelta(seconds=0.05)), issuer.a_token()
    with pytest.raises(NotFresh):
        verifier.verify(token)
    issuer.answers = answers
    eventually(lambda: _is_fresh(verifier, token))


def _is_fresh(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token, revocation="immediate")
    except NotFresh:
        return False
    return True


def test_a_start_that_refuses_while_cold_does_not_wait(issuer: Issuer, a_verifier: Verifiers) -> None:
    release = threading.Event()
    issuer.answers = dict.fromkeys(issuer.answers, silent_until(release))
    verifier = a_verifier(when_cold="refuse", start_within=timedelta(hours=1))
    with pytest.raises(NotFresh):
        verifier.verify(issuer.a_token())
    release.set()


def test_without_start_the_first_token_starts_it(issuer: Issuer) -> None:
    verifier = Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True)
    try:
        eventually(lambda: _is_fresh(verifier, issuer.a_token()))
    finally:
        verifier.close()


def test_a_closed_verifier_accepts_nothing_and_can_be_started_again(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier, token = a_verifier(), issuer.a_token()
    verifier.verify(token)
    verifier.close()
    verifier.close()
    with pytest.raises(Unavailable):
        verifier.verify(token)
    verifier.start()
    verifier.verify(token)


def test_no_thread_of_a_closed_verifier_is_left(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier()
    assert any(thread.name.startswith("doorward-verifier") for thread in threading.enumerate())
    verifier.close()
    eventually(lambda: not any(thread.name.startswith("doorward-verifier") for thread in threading.enumerate()))


@pytest.mark.anyio
async def test_it_is_an_asynchronous_context_manager_too(issuer: Issuer) -> None:
    verifier = Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True)
    async with verifier:
        assert (await verifier.verify_async(issuer.a_token(), revocation="immediate")).subject == "acc_ada"


def test_many_threads_at_a_cold_start_fetch_the_keys_once(issuer: Issuer) -> None:
    verifier = Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True)
    threads = [threading.Thread(target=verifier.start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verifier.verify(issuer.a_token())
    verifier.close()
    assert issuer.count(KEY_SET_PATH) == 1


def test_without_a_credential_there_is_no_feed_and_nothing_is_ever_fresh(
    issuer: Issuer, a_verifier: Verifiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", "unasked")
    verifier = a_verifier(credential=None, insecure_without_revocations=True)
    verifier.verify(issuer.a_token())
    with pytest.raises(NotFresh):
        verifier.verify(issuer.a_token(), revocation="immediate")
    assert {path for path, _ in issuer.requests} == {KEY_SET_PATH}


def test_the_credential_may_come_from_the_environment(
    issuer: Issuer, a_verifier: Verifiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", CREDENTIAL)
    verifier = a_verifier(credential=None)
    verifier.verify(issuer.a_token(), revocation="immediate")


def test_the_key_set_is_asked_for_without_the_credential(issuer: Issuer, a_verifier: Verifiers) -> None:
    a_verifier()
    (headers,) = (headers for path, headers in issuer.requests if path == KEY_SET_PATH)
    assert "Authorization" not in headers


def test_the_credential_is_nowhere_in_what_a_verifier_says_of_itself(a_verifier: Verifiers) -> None:
    verifier = a_verifier()
    assert CREDENTIAL not in f"{verifier} {verifier.options!r} {verifier.state!r} {verifier.__dict__!r}"


def test_proxies_of_the_environment_are_not_used(
    issuer: Issuer, a_verifier: Verifiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    a_verifier().verify(issuer.a_token(), revocation="immediate")


def test_an_unchanged_digest_is_not_sent_again(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier(max_staleness=timedelta(seconds=1))
    issuer.wait_for(DIGEST_PATH, 3)
    asked = [headers.get("If-None-Match") for path, headers in issuer.requests if path == DIGEST_PATH]
    assert any(asked)
    eventually(lambda: verifier.state.state is State.FRESH)
