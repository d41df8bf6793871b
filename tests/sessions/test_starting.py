"""Proving a password and starting a session apart, for hosts that have a sign-in of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from doorward.accounts.model import Account, AccountChange
from doorward.audit.model import Action, Actor, Origin
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials, NotPermitted, RateLimited, SessionEnded, StoreUnavailable
from doorward.ports import Page
from doorward.secret import Secret

EMAIL, PASSWORD, HERE = "ada@example.com", Secret("a walrus in seven teapots"), Origin(ip="10.0.0.7")


@pytest.fixture
def auth() -> Iterator[Doorward]:
    auth = Doorward("memory:", strategy="session", insecure_fast_hashing=True, blocking=True)
    run_blocking(auth.open())
    run_blocking(auth.sign_up(email=EMAIL, password=PASSWORD, actor=Actor()))
    yield auth
    run_blocking(auth.close())


def proved(auth: Doorward, password: Secret = PASSWORD) -> Account:
    return run_blocking(auth.prove_password(email=EMAIL, password=password, origin=HERE))


def test_proving_a_password_starts_nothing_and_is_counted_and_recorded_as_signing_in_is(auth: Doorward) -> None:
    account = proved(auth)
    assert run_blocking(auth.sessions(account.id)) == ()
    for _ in range(20):
        with pytest.raises(InvalidCredentials):
            proved(auth, Secret("a wrong guess"))
    with pytest.raises(RateLimited):
        proved(auth)
    actions = [event.action for event in run_blocking(auth.trail(Page(limit=30), account=account.id))]
    assert actions.count(Action.SESSION_REFUSED) == 20


def test_a_session_that_is_started_says_how_it_was_proved_and_replaces_what_was_sent_along(auth: Doorward) -> None:
    account = proved(auth)
    started = run_blocking(auth.start_session(account, origin=HERE, methods=["pwd"]))
    first = started.credentials.handle
    assert first is not None
    assert run_blocking(auth.authenticate(handle=first)).methods == ("pwd",)
    started = run_blocking(auth.start_session(account, origin=HERE, sent_along=[first]))
    assert run_blocking(auth.authenticate(handle=started.credentials.handle)).methods == ()
    with pytest.raises(SessionEnded):
        run_blocking(auth.authenticate(handle=first))


def test_no_session_starts_for_an_account_that_is_disabled_or_has_changed_since(auth: Doorward) -> None:
    account = proved(auth)
    disabled = run_blocking(auth.change_account(account.id, AccountChange(disabled=True), actor=Actor()))
    with pytest.raises(NotPermitted):
        run_blocking(auth.start_session(disabled, origin=HERE))
    with pytest.raises(StoreUnavailable):
        run_blocking(auth.start_session(account, origin=HERE))
    assert run_blocking(auth.sessions(account.id)) == ()
