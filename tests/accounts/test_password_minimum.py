"""How short a password may be where it is chosen, and what that means for those that were chosen before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from doorward.accounts.model import Account
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials, WeakPassword
from doorward.secret import Secret

SHORT, LONG = Secret("gkWq82nz"), Secret("gkWq82nz7$kQ!vP")
EMAIL = "ada@example.com"
HOME = Origin(ip="10.0.0.7")


def opened(database: str, minimum: int) -> Doorward:
    auth = Doorward(
        database,
        secret=Secret("the secret of a deployment in tests"),
        strategy="session",
        password_minimum=minimum,
        insecure_fast_hashing=True,
        rate_limits=False,
        blocking=True,
    )
    run_blocking(auth.open())
    return auth


def sign_up(auth: Doorward, password: Secret) -> Account:
    return run_blocking(auth.sign_up(email=EMAIL, password=password, actor=Actor()))


@pytest.fixture
def auth() -> Iterator[Doorward]:
    auth = opened("memory:", 15)
    yield auth
    run_blocking(auth.close())


def test_the_minimum_holds_where_a_password_is_chosen(auth: Doorward) -> None:
    with pytest.raises(WeakPassword, match="Use at least 15 characters"):
        sign_up(auth, SHORT)
    sign_up(auth, LONG)
    signed_in = run_blocking(auth.sign_in(email=EMAIL, password=LONG, origin=HOME))
    principal = run_blocking(auth.authenticate(handle=signed_in.credentials.handle))
    with pytest.raises(WeakPassword, match="Use at least 15 characters"):
        run_blocking(auth.change_password(principal, current=LONG, new=SHORT, origin=HOME))


def test_who_chose_a_shorter_one_before_signs_in_with_it(tmp_path: object) -> None:
    database = f"sqlite:///{tmp_path}/doorward.db"
    before = opened(database, 8)
    sign_up(before, SHORT)
    run_blocking(before.close())
    after = opened(database, 15)
    assert run_blocking(after.sign_in(email=EMAIL, password=SHORT, origin=HOME)).account.email == EMAIL
    run_blocking(after.close())


def test_a_stored_hash_that_cannot_be_used_is_answered_as_a_wrong_password(auth: Doorward) -> None:
    account = Account(
        id="a",
        email=EMAIL,
        email_key=EMAIL,
        password_hash=Secret("$2b$12$" + "!" * 53),
        created_at=run_blocking(auth.deployment.store.now()),
    )
    assert run_blocking(auth.deployment.store.create_account(account, actor=Actor()))
    with pytest.raises(InvalidCredentials):
        run_blocking(auth.sign_in(email=EMAIL, password=LONG, origin=HOME))
