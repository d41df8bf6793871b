"""Users of a Django project go on with their passwords."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.core.management import CommandError, call_command

from doorward.web.django.conf import run
from doorward.web.django.models import LinkedAccount
from tests.web.django.people import PASSWORD, a_browser, an_account, an_email

Users: Any = get_user_model()._default_manager


def a_user(email: str, **fields: Any) -> Any:
    made = PBKDF2PasswordHasher().encode(PASSWORD, "c2VhIHNhbHQ", iterations=1000)
    return Users.create(username=email or an_email(), email=email, password=made, **fields)


def test_users_sign_in_with_the_password_that_they_had_and_are_who_they_were() -> None:
    Users.filter(doorward_account=None).delete()
    email = an_email()
    user = a_user(email, is_superuser=True, is_staff=True, first_name="Ada", last_name="L")
    out = io.StringIO()
    call_command("doorward_import_users", stdout=out)
    assert out.getvalue() == "Imported 1 users.\n"
    account = run(lambda auth: auth.account(LinkedAccount.objects.get(user=user).account))
    assert (account.email, account.name, account.roles) == (email, "Ada L", ("admin",))
    browser = a_browser()
    for _ in range(2):
        answer = browser.post("/sign-in/", {"username": email, "password": PASSWORD})
        assert answer.status_code == 302
        assert browser.get("/admin/").status_code == 200
        rehashed = run(lambda auth: auth.account(account.id)).password_hash
        assert rehashed is not None
        assert rehashed.reveal().startswith("$argon2id$")
    call_command("doorward_import_users", stdout=(out := io.StringIO()))
    assert out.getvalue() == "Imported 0 users.\n"


def test_the_import_says_whom_it_left_out_and_why() -> None:
    Users.filter(doorward_account=None).delete()
    inactive, without = a_user(an_email(), is_active=False), Users.create(username="sso", email=an_email())
    without.set_unusable_password()
    without.save()
    out, err = io.StringIO(), io.StringIO()
    call_command("doorward_import_users", stdout=out, stderr=err)
    assert out.getvalue() == "Imported 1 users.\nLeft out 1 users who are not active.\n"
    assert f"{inactive.username}: left out, because the user is not active" in err.getvalue()
    assert "sso: imported without a password, because the user has none" in err.getvalue()
    assert not LinkedAccount.objects.filter(user=inactive).exists()
    Users.filter(pk__in=[inactive.pk, without.pk]).delete()


@pytest.mark.parametrize("made", [pytest.param(make_password(None), id="Django's own"), ""])
def test_a_user_without_a_usable_password_has_an_account_without_one(made: str) -> None:
    Users.filter(doorward_account=None).delete()
    email = an_email()
    user = Users.create(username=email, email=email, password=made)
    call_command("doorward_import_users", stdout=io.StringIO())
    account = run(lambda auth: auth.account(LinkedAccount.objects.get(user=user).account))
    assert account.password_hash is None
    browser = a_browser()
    assert browser.post("/sign-in/", {"username": email, "password": "anything at all"}).status_code == 200


def test_a_user_whose_hash_cannot_be_used_is_named_with_the_reason() -> None:
    Users.filter(doorward_account=None).delete()
    email, err = an_email(), io.StringIO()
    Users.create(username=email, email=email, password="bcrypt$$2b$12$" + "!" * 53)
    with pytest.raises(CommandError, match="1 users were not imported"):
        call_command("doorward_import_users", stderr=err, stdout=io.StringIO())
    assert (
        f"{email}: not imported: password_hash: This password hash cannot be imported: it is malformed"
        in err.getvalue()
    )
    Users.filter(doorward_account=None).delete()


def test_a_user_whose_address_has_an_account_already_is_left_for_somebody_to_decide() -> None:
    Users.filter(doorward_account=None).delete()
    account, err = an_account(), io.StringIO()
    a_user(account.email)
    a_user("")
    with pytest.raises(CommandError, match="2 users were not imported"):
        call_command("doorward_import_users", stderr=err, stdout=io.StringIO())
    assert f"{account.email}: not imported: an account with this e-mail address exists" in err.getvalue()
    assert "not imported: email: The user has no e-mail address." in err.getvalue()
    Users.filter(doorward_account=None).delete()
