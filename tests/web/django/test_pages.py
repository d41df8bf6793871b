"""Django's own sign-in, pages, users, permissions and admin over sessions of Doorward's."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user, get_user_model, login
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import Permission
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError
from doorward.web.django import signals
from doorward.web.django.conf import deployment, run
from doorward.web.django.middleware import DoorwardMiddleware
from doorward.web.django.models import LinkedAccount
from tests.web.django.people import FOREIGN, OWN_PAGE, PASSWORD, a_browser, an_account, an_email, configured, signed_in

COOKIE = "doorward_session"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
OUR_BACKEND = "doorward.web.django.backends.DoorwardBackend"


def session_of(browser: Client) -> str:
    session: str = browser.get("/me").json()["session"]
    return session


def test_whoever_opens_an_account_is_signed_in_with_a_cookie_like_any_of_doorwards() -> None:
    email, browser = an_email(), a_browser()
    answer = browser.post("/sign-up/", {"email": email, "password": PASSWORD})
    assert (answer.status_code, answer["location"]) == (302, "/mine/")
    written = answer.cookies[COOKIE].OutputString()
    assert re.fullmatch(rf"{COOKIE}=\S+; HttpOnly; Max-Age=\d+; Path=/; SameSite=Lax; Secure", written), written
    assert answer["cache-control"] == "no-store"
    assert email in browser.get("/mine/").content.decode()
    refused = a_browser().post("/sign-up/", {"email": email, "password": PASSWORD})
    assert (refused.status_code, COOKIE in refused.cookies) == (422, False)


@pytest.mark.parametrize(
    ("by_setting", "before", "after", "kept", "hours"),
    [
        (False, None, None, True, 14 * 24),
        (True, None, None, False, 12),
        (False, 0, None, False, 12),
        (True, 3600, None, True, 14 * 24),
        # Once the session has started, the cookie alone can still be made to go with the browser's window.
        (False, None, 0, False, 14 * 24),
    ],
)
def test_a_session_is_remembered_where_djangos_own_would_outlive_the_browser(
    *, by_setting: bool, before: int | None, after: int | None, kept: bool, hours: int
) -> None:
    account = an_account()

    def view(request: HttpRequest) -> HttpResponse:
        if before is not None:
            request.session.set_expiry(before)
        login(request, authenticate(request, username=account.email, password=PASSWORD))
        if after is not None:
            request.session.set_expiry(after)
        return HttpResponse()

    stack: Any = SessionMiddleware(AuthenticationMiddleware(DoorwardMiddleware(view)))
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=by_setting):
        answer = stack(RequestFactory(headers=OWN_PAGE).post("/"))
    assert bool(answer.cookies[COOKIE]["max-age"]) is kept
    (session,) = run(lambda auth: auth.sessions(account.id))
    assert session.idle_expires_at - session.created_at == timedelta(hours=hours)


def test_a_space_around_the_address_is_no_part_of_it() -> None:
    account, browser = an_account(), a_browser()
    form = {"username": f" {account.email} ", "password": PASSWORD, "next": "/mine/"}
    assert browser.post("/sign-in/", form)["location"] == "/mine/"


def test_a_page_that_needs_signing_in_leads_there_and_back() -> None:
    account, browser = an_account(), a_browser()
    asked = browser.get("/mine/")
    assert (asked.status_code, asked["location"]) == (302, "/sign-in/?next=/mine/")
    form = {"username": account.email, "password": PASSWORD, "next": "/mine/"}
    assert browser.post("/sign-in/", {**form, "password": "wrong" * 4}).status_code == 200
    assert browser.post("/sign-in/", form)["location"] == "/mine/"
    assert browser.get("/mine/").status_code == 200


def test_signing_out_ends_the_session_wherever_its_cookie_is() -> None:
    browser = signed_in(an_account())
    thief = a_browser()
    thief.cookies.load(browser.cookies.output(header="", sep=";"))
    assert thief.get("/mine/").status_code == 200
    answer = browser.post("/sign-out/")
    assert (answer.status_code, answer.cookies[COOKIE]["max-age"]) == (302, "0")
    assert thief.get("/mine/").status_code == 302
    refused = thief.get("/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (refused["content-type"], refused["www-authenticate"]) == ("application/problem+json", "Bearer")


def test_djangos_session_alone_signs_nobody_in_once_doorwards_is_over() -> None:
    account = an_account()
    browser = signed_in(account)
    run(lambda auth: auth.end_sessions(account.id, actor=Actor()))
    assert "sessionid" in browser.cookies
    assert not get_user(browser.get("/").wsgi_request).is_authenticated  # nor without the middleware
    assert browser.get("/mine/").status_code == 302
    assert "Sign in" in browser.get("/").content.decode()


def test_signing_in_ends_what_was_in_the_browser_before() -> None:
    account = an_account()
    browser = signed_in(account)
    before = session_of(browser)
    browser.post("/sign-in/", {"username": account.email, "password": PASSWORD})
    assert session_of(browser) != before
    standing = run(lambda auth: auth.sessions(account.id))
    assert [each.id for each in standing] == [session_of(browser)]


def test_signing_out_elsewhere_leaves_this_device() -> None:
    account = an_account()
    here, there = signed_in(account), signed_in(account)
    assert here.post("/mine/elsewhere/").status_code == 302
    assert (here.get("/mine/").status_code, there.get("/mine/").status_code) == (200, 302)


def test_the_admin_and_permissions_go_by_the_roles_of_the_account_and_by_djangos_tables() -> None:
    account = an_account()
    browser = signed_in(account)
    user: Any = LinkedAccount.objects.get(account=account.id).user
    assert (user.username, user.email, user.has_usable_password()) == (account.id, account.email, False)
    assert not user.has_perm("auth.view_group")
    user.user_permissions.add(Permission.objects.get(codename="view_group"))
    user = get_user_model()._default_manager.get(pk=user.pk)
    assert user.has_perm("auth.view_group")
    assert browser.get("/admin/").status_code == 302
    changes: list[tuple[tuple[str, ...], int]] = [(("admin",), 200), ((), 302)]
    for roles, status in changes:
        change = AccountChange(roles=roles)
        run(partial(Doorward.change_account, account_id=account.id, change=change, actor=Actor()))
        browser = signed_in(account)
        assert browser.get("/admin/").status_code == status


def test_nobody_becomes_a_user_by_signing_up_with_their_address() -> None:
    email = an_email()
    model = get_user_model()
    owner = model._default_manager.create(username=email, email=email, is_superuser=True, is_staff=True)
    account = an_account(email=email)
    browser = signed_in(account)
    linked = LinkedAccount.objects.get(account=account.id).user
    assert linked.pk != owner.pk
    assert browser.get("/admin/").status_code == 302


def test_an_account_whose_name_a_user_has_is_nobody_until_they_are_linked(caplog: pytest.LogCaptureFixture) -> None:
    account = an_account()
    model = get_user_model()
    model._default_manager.create(username=account.id)
    browser = a_browser()
    with caplog.at_level(logging.WARNING):
        assert browser.post("/sign-in/", {"username": account.email, "password": PASSWORD}).status_code == 200
    assert "manage.py doorward_link" in caplog.text
    call_command("doorward_link", account.email, account.id, verbosity=0)
    assert signed_in(account).get("/mine/").status_code == 200
    for email, name, told in (
        (account.email, account.id, "linked already"),
        ("nobody@example.com", account.id, "No account"),
        (account.email, "nobody", "No user"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("doorward_link", email, name)


def test_a_user_who_is_not_active_is_nobody() -> None:
    account = an_account()
    browser = signed_in(account)
    get_user_model()._default_manager.filter(doorward_account__account=account.id).update(is_active=False)
    assert browser.get("/mine/").status_code == 302
    assert a_browser().post("/sign-in/", {"username": account.email, "password": PASSWORD}).status_code == 200


def test_authenticate_proves_a_password_and_starts_nothing() -> None:
    account = an_account()
    user = authenticate(None, username=account.email, password=PASSWORD)
    assert user is not None
    assert authenticate(None, username=account.email, password=PASSWORD + "!") is None
    assert authenticate(None, username=account.email) is None
    assert run(lambda auth: auth.sessions(account.id)) == ()
    run(lambda auth: auth.change_account(account.id, AccountChange(disabled=True), actor=Actor()))
    assert authenticate(None, username=account.email, password=PASSWORD) is None


def test_too_many_attempts_are_answered_like_wrong_ones() -> None:
    with configured(RATE_LIMITS=True):
        account = an_account()
        for _ in range(21):
            assert authenticate(None, username=account.email, password="wrong" * 4) is None
        assert authenticate(None, username=account.email, password=PASSWORD) is None


def test_a_user_whom_another_backend_has_signed_in_stays_who_he_is() -> None:
    user = get_user_model()._default_manager.create(username=an_email())
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND, MODEL_BACKEND]):
        browser = a_browser()
        browser.force_login(user, backend=MODEL_BACKEND)
        assert browser.get("/me").status_code == 401
        assert a_user(browser) == user


def a_user(browser: Client) -> object:
    """``request.user`` of a request with the cookies of a browser."""
    found: list[object] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(request.user)
        return HttpResponse()

    chain = SessionMiddleware(AuthenticationMiddleware(DoorwardMiddleware(view)))
    request = RequestFactory().get("/")
    request.COOKIES = {name: cookie.value for name, cookie in browser.cookies.items()}
    chain(request)
    return found[0]


def test_under_a_strategy_without_a_cookie_djangos_sign_in_says_so() -> None:
    with configured(STRATEGY="hybrid"):
        account = an_account()
        with pytest.raises(ConfigurationError, match="DW101"):
            signed_in(account)


# Forgery


def test_a_foreign_page_can_do_nothing_with_the_cookie_and_djangos_own_check_stays() -> None:
    account = an_account()
    browser = signed_in(account)
    assert browser.post("/mine/elsewhere/", headers=FOREIGN).status_code == 302  # as nobody: to the sign-in page
    refused = browser.post("/me", headers=FOREIGN)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert browser.post("/sign-out/", headers=FOREIGN).status_code == 403
    form = {"username": account.email, "password": PASSWORD}
    refused = a_browser().post("/sign-in/", form, headers=FOREIGN)
    assert (refused.status_code, COOKIE in refused.cookies) == (403, False)
    assert browser.get("/mine/").status_code == 200
    strict = a_browser(enforce_csrf_checks=True)
    assert strict.post("/sign-in/", form).status_code == 403


# Signals


def test_receivers_are_told_who_signs_in_and_out_whichever_way() -> None:
    account, told = an_account(), []

    def note(signal: object, **arguments: object) -> None:
        told.append((signal, arguments.get("account"), arguments["session"]))

    signals.signed_in.connect(note, weak=False)
    signals.signed_out.connect(note, weak=False)
    try:
        browser = signed_in(account)
        session = session_of(browser)
        browser.post("/sign-out/")
        other = browser.post(
            "/auth/v1/sessions", {"email": account.email, "password": PASSWORD}, content_type="application/json"
        ).json()["session"]["id"]
        browser.delete("/auth/v1/sessions/current", headers=OWN_PAGE)
    finally:
        signals.signed_in.disconnect(note)
        signals.signed_out.disconnect(note)
    assert told == [
        (signals.signed_in, account.id, session),
        (signals.signed_out, None, session),
        (signals.signed_in, account.id, other),
        (signals.signed_out, None, other),
    ]


def test_whoever_has_just_signed_in_is_known_in_the_same_request() -> None:
    account, known = an_account(), []

    def note(request: Any, **_: object) -> None:
        known.append((request.principal.subject, request.user.pk))

    signals.signed_in.connect(note, weak=False)
    try:
        signed_in(account)
    finally:
        signals.signed_in.disconnect(note)
    assert known == [(account.id, LinkedAccount.objects.get(account=account.id).user.pk)]


def test_the_deployment_is_one_a_process_until_the_settings_change() -> None:
    before = deployment()
    assert deployment() is before
    with configured():
        assert deployment() is not before
    assert deployment() is not before
