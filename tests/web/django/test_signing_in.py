"""``authenticate``, ``login`` and Django's own test tools, as a project and its tests use them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import (
    aauthenticate,
    alogin,
    authenticate,
    get_user_model,
    login,
    update_session_auth_hash,
)
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.views import PasswordChangeView
from django.core.management import call_command
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, TestCase, override_settings
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.errors import ConfigurationError, EmailTaken, NotPermitted
from doorward.secret import Secret
from doorward.web.django.backends import DoorwardBackend
from doorward.web.django.conf import run
from doorward.web.django.decorators import requires
from doorward.web.django.middleware import DoorwardMiddleware
from doorward.web.django.models import LinkedAccount
from tests.web.django.people import PASSWORD, QUICK, a_browser, an_account, an_email, configured, signed_in

Users: Any = get_user_model()._default_manager
OUR_BACKEND = "doorward.web.django.backends.DoorwardBackend"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
OLD_SESSIONS = "doorward.web.django.backends.DjangoSessionsBackend"
NEW = "an entirely different walrus"


class Derived(DoorwardBackend):
    """What a project makes of the backend."""


def sign_up(request: HttpRequest) -> HttpResponse:
    """As every tutorial has it."""
    form = request.POST
    user = Users.create_user(form["username"], form["email"], form["password"])
    login(request, user, backend=form.get("backend"))
    return HttpResponse("welcome")


async def sign_up_later(request: HttpRequest) -> HttpResponse:
    form = request.POST
    user = await Users.acreate_user(form["username"], form["email"], form["password"])
    await alogin(request, user)
    return HttpResponse("welcome")


def change_password(request: Any) -> HttpResponse:
    request.user.set_password(request.POST["new"])
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


@requires()
def whoever(request: Any) -> HttpResponse:
    return HttpResponse(request.principal.subject)


@login_required
def user_alone(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))


urlpatterns = [
    path("user/", user_alone),
    path("tutorial/", sign_up),
    path("tutorial-later/", sign_up_later),
    path("change/", change_password),
    path("form/", PasswordChangeView.as_view(success_url="/", template_name="sign_in.html")),
    path("", include("monolith.urls")),
]


@pytest.fixture(autouse=True)
def our_pages() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, **QUICK):
        yield


def a_user(**fields: Any) -> Any:
    email = fields.pop("email", None) or an_email()
    made = PBKDF2PasswordHasher().encode(PASSWORD, "c2VhIHNhbHQ", iterations=1000)
    return Users.create(username=fields.pop("username", email.partition("@")[0]), email=email, password=made, **fields)


def form_of(**fields: str) -> dict[str, str]:
    email = fields.pop("email", None) or an_email()
    return {"username": email.partition("@")[0], "email": email, "password": PASSWORD, **fields}


# authenticate


@pytest.mark.anyio
async def test_asynchronous_code_proves_a_password_by_doorward_and_not_by_djangos_table() -> None:
    import asyncio

    def prepared() -> Any:
        user = a_user()
        authenticate(None, username=user.username, password=PASSWORD)
        account = LinkedAccount.objects.get(user=user).account
        run(lambda auth: auth.set_password(account, Secret(NEW), actor=Actor()))
        return user

    user = await asyncio.to_thread(prepared)
    assert await aauthenticate(None, username=user.username, password=PASSWORD) is None
    assert await aauthenticate(None, username=user.username, password=NEW) == user


def test_a_name_signs_in_as_the_address_does_and_is_nobody_elses() -> None:
    user = a_user()
    for name in (user.username, user.email):
        assert authenticate(None, username=name, password=PASSWORD) == user
        assert authenticate(None, username=name, password=NEW) is None
    assert authenticate(None, username="nobody", password=PASSWORD) is None
    # Whoever has an account by an address that is another user's name signs in to the own account alone.
    account = an_account()
    victim = Users.create_user(account.email, an_email(), PASSWORD)
    assert authenticate(None, username=account.email, password=PASSWORD) != victim


def test_a_superuser_that_the_command_has_made_signs_in_to_the_admin() -> None:
    email = an_email()
    call_command("createsuperuser", interactive=False, username=f"root-{email}", email=email, verbosity=0)
    user = Users.get(email=email)
    user.set_password(PASSWORD)
    user.save()
    browser = a_browser()
    browser.post("/admin/login/", {"username": user.username, "password": PASSWORD})
    assert browser.get("/admin/").status_code == 200


def test_a_user_without_an_address_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    user = Users.create_user("without", "", PASSWORD)
    with caplog.at_level(logging.WARNING):
        assert authenticate(None, username="without", password=PASSWORD) is None
    assert f"user {user.pk} cannot sign in, and has no account: email: The user has no e-mail address." in caplog.text
    user.delete()


# login


@pytest.mark.parametrize("backend", [{}, {"backend": OUR_BACKEND}])
def test_whoever_a_view_makes_and_signs_in_is_signed_in(backend: dict[str, str]) -> None:
    browser, form = a_browser(), form_of(**backend)
    answer = browser.post("/tutorial/", form)
    assert "doorward_session" in answer.cookies
    user = Users.get(email=form["email"])
    assert browser.get("/mine/").wsgi_request.user == user
    account = LinkedAccount.objects.get(user=user).account
    assert browser.get("/me").json()["account"] == account
    assert authenticate(None, username=form["email"], password=PASSWORD) == user


@pytest.mark.anyio
async def test_an_asynchronous_view_signs_in_whom_it_makes_too() -> None:
    browser, form = AsyncClient(), form_of()
    answer = await browser.post("/tutorial-later/", form)
    assert "doorward_session" in answer.cookies
    assert (await browser.get("/mine/")).status_code == 200


def test_a_backend_that_a_project_derives_signs_in_as_ours_does() -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.Derived"]):
        browser = a_browser()
        browser.post("/tutorial/", form_of())
        assert browser.get("/mine/").status_code == 200


def test_what_cannot_be_signed_in_raises_and_says_what_to_do() -> None:
    account = an_account()
    answer = a_browser().post("/tutorial/", form_of(email=account.email))
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    with pytest.raises(ConfigurationError, match=r"DW111: .*no e-mail address.*doorward_link"):
        a_browser().post("/tutorial/", {**form_of(), "email": ""})
    with pytest.raises(NotPermitted, match="not active"):
        Client().force_login(a_user(is_active=False))
    request = RequestFactory().post("/")
    request.session = Client().session
    with pytest.raises(ConfigurationError, match=r"DW110: .*MIDDLEWARE.*RequestFactory"):
        login(request, a_user())
    with pytest.raises(EmailTaken, match="doorward_link"):
        Client().force_login(a_user(email=account.email, username="another"))


def test_what_a_rolled_back_transaction_leaves_is_taken_up_by_the_next_attempt() -> None:
    email = an_email()
    user: Any = None
    for password in (PASSWORD, NEW):
        with transaction.atomic():
            user = Users.create_user("rolled-back", email, password, is_staff=True)
            Client().force_login(user)
            transaction.set_rollback(password == PASSWORD)
    assert authenticate(None, username=email, password=PASSWORD) is None
    assert authenticate(None, username=email, password=NEW) == user
    # One whose owner has set the password since, and one that is disabled, are not taken.
    account = LinkedAccount.objects.get(user=user).account
    for change in (
        lambda auth: auth.set_password(account, Secret(PASSWORD), actor=Actor(name=account)),
        lambda auth: auth.change_account(account, AccountChange(disabled=True), actor=Actor()),
    ):
        run(change)
        with transaction.atomic():
            LinkedAccount.objects.filter(account=account)._raw_delete("default")  # as a backup that was put back
            with pytest.raises(EmailTaken):
                Client().force_login(user)
            transaction.set_rollback(True)
    # An account that somebody else opened is nobody's but theirs.
    other = an_account()
    with pytest.raises(EmailTaken):
        Client().force_login(Users.create_user("taken", other.email, PASSWORD))


# Django's test tools


@pytest.mark.parametrize("strategy", ["session", "jwt", "hybrid"])
def test_the_test_client_signs_in_under_every_strategy(strategy: str) -> None:
    with configured(STRATEGY=strategy):
        user, client = a_user(), Client()
        client.force_login(user)
        for _ in range(2):
            assert client.get("/mine/").wsgi_request.user == user
            assert client.post("/me").status_code == 200
        client.logout()
        assert client.get("/mine/").status_code == 302
        account = LinkedAccount.objects.get(user=user).account
        assert run(lambda auth: auth.sessions(account)) == ()
        client.force_login(user)
        run(lambda auth: auth.end_sessions(account, actor=Actor()))
        client.logout()
        assert client.login(username=user.username, password=PASSWORD)
        assert client.get("/mine/").wsgi_request.user == user
        assert not Client().login(username=user.username, password=NEW)
        run(lambda auth: auth.end_sessions(account, actor=Actor()))
        assert client.get("/mine/").status_code == 302


@pytest.mark.anyio
async def test_the_asynchronous_test_client_signs_in() -> None:
    import asyncio

    user, client = await asyncio.to_thread(a_user), AsyncClient()
    await client.aforce_login(user)
    assert (await client.get("/mine/")).status_code == 200
    assert (await client.get("/asynchronous")).status_code == 200
    await client.alogout()
    assert (await client.get("/mine/")).status_code == 302
    assert await client.alogin(username=user.username, password=PASSWORD)
    assert (await client.get("/mine/")).status_code == 200


def test_tests_may_hash_passwords_as_they_like() -> None:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        user, client = Users.create_user("md5", an_email(), PASSWORD), Client()
        client.force_login(user)
        assert client.get("/mine/").status_code == 200
        assert not Client().login(username="md5", password=NEW)
        assert Client().login(username="md5", password=PASSWORD)
        account = LinkedAccount.objects.get(user=user).account
        run(lambda auth: auth.set_password(account, Secret(NEW), actor=Actor()))
        assert not Client().login(username="md5", password=PASSWORD)
        other = Users.create_user("md5-too", an_email(), PASSWORD)
        assert Client().login(username="md5-too", password=PASSWORD)
        assert LinkedAccount.objects.filter(user=other).exists()
    Client().force_login(Users.create(username="no password", email=an_email()))


class EachTestIsRolledBack(TestCase):
    """The same users in every test, as a project's ``setUp`` makes them."""

    def setUp(self) -> None:
        self.user = Users.create_user("ada", "ada@example.com", PASSWORD)
        self.client.force_login(self.user)

    def test_one(self) -> None:
        assert self.client.get("/mine/").status_code == 200

    def test_two(self) -> None:
        assert self.client.get("/mine/").wsgi_request.user == self.user
        self.client.post("/sign-out/")
        assert self.client.get("/mine/").status_code == 302

    def test_three(self) -> None:
        self.user.is_active = False
        self.user.save()
        assert self.client.get("/me").status_code == 401


def test_what_the_test_client_keeps_opens_nothing_for_anybody_else() -> None:
    client, user = Client(), a_user()
    client.force_login(user)
    with override_settings(MIDDLEWARE=["tests.web.django.test_signing_in.from_outside", *_middleware()]):
        assert client.get("/mine/").status_code == 302


def from_outside(get_response: Any) -> Any:
    """Takes from a request what says that it is of the test client."""

    def middleware(request: HttpRequest) -> Any:
        vars(request).pop("_dont_enforce_csrf_checks")
        return get_response(request)

    return middleware


def _middleware() -> list[str]:
    from django.conf import settings

    return list(settings.MIDDLEWARE)


def test_the_test_client_checks_for_forgery_when_it_is_told_to() -> None:
    user = a_user()
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post("/tutorial/", form_of()).status_code == 403
    lenient = Client()
    lenient.force_login(user)
    assert lenient.post("/me", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # no cookie to misuse
    # A form of a test by cookie needs no header that only browsers send.
    plain, browser = Client(), signed_in(an_account())
    plain.cookies.load(browser.cookies.output(header="", sep=";"))
    assert plain.post("/me").status_code == 200


def _status(response: Any) -> int:
    status: int = response.status_code
    return status


def test_a_request_of_the_factory_is_refused_as_any_and_says_what_is_missing() -> None:
    request: Any = RequestFactory().get("/")
    assert not hasattr(request, "principal")
    with pytest.raises(ConfigurationError, match=r"DW110: .*DoorwardMiddleware"):
        _ = request.principal
    answer = whoever(request)
    assert (answer.status_code, answer["vary"]) == (401, "Cookie, Authorization")
    browser = signed_in(an_account())
    request = RequestFactory().get("/")
    request.COOKIES = {name: each.value for name, each in browser.cookies.items()}
    request.META["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in request.COOKIES.items())
    assert _status(DoorwardMiddleware(whoever)(request)) == 200
    request = RequestFactory().get("/", HTTP_COOKIE=request.META["HTTP_COOKIE"])
    assert whoever(request).status_code == 200


# Passwords


def test_a_password_that_is_set_in_django_is_the_accounts_and_ends_the_other_sessions() -> None:
    account = an_account()
    here, there = signed_in(account), signed_in(account)
    here.post("/change/", {"new": NEW})
    assert here.get("/mine/").status_code == 200
    assert there.get("/mine/").status_code == 302
    assert authenticate(None, username=account.email, password=PASSWORD) is None
    assert authenticate(None, username=account.email, password=NEW) is not None


def test_djangos_form_and_the_admins_change_the_accounts_password() -> None:
    user = a_user()
    browser = a_browser()
    browser.post("/sign-in/", {"username": user.username, "password": PASSWORD})
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert browser.post("/form/", form).status_code == 302
    assert browser.get("/mine/").status_code == 200
    assert authenticate(None, username=user.email, password=PASSWORD) is None
    admin = signed_in(an_account("admin"))
    changed = admin.post(
        f"/admin/auth/user/{user.pk}/password/",
        {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"},
    )
    assert changed.status_code == 302
    assert browser.get("/mine/").status_code == 302
    assert authenticate(None, username=user.email, password=PASSWORD) == user


# Sessions of Django's, while a project moves in


def an_old_session(user: Any) -> Client:
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND, MODEL_BACKEND]):
        browser = Client()
        browser.force_login(user, backend=MODEL_BACKEND)
    return browser


def test_old_sessions_go_on_and_old_passwords_do_not() -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND, OLD_SESSIONS]):
        user = a_user()
        old = an_old_session(user)
        assert old.get("/user/").wsgi_request.user == user
        browser = a_browser()
        browser.post("/sign-in/", {"username": user.username, "password": PASSWORD})
        assert old.get("/user/").wsgi_request.user == user
        account = LinkedAccount.objects.get(user=user).account
        run(lambda auth: auth.set_password(account, Secret(NEW), actor=Actor()))
        assert old.get("/user/").status_code == 302
        assert authenticate(None, username=user.username, password=PASSWORD) is None
        assert authenticate(None, username=user.username, password=NEW) == user
        # Nor without the backend.
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND]):
        assert an_old_session(a_user()).get("/user/").status_code == 302


@pytest.mark.parametrize("how", ["disabled", "inactive", "deleted"])
def test_an_old_session_ends_with_its_account_and_its_user(how: str) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND, OLD_SESSIONS]):
        user = a_user()
        old = an_old_session(user)
        assert authenticate(None, username=user.username, password=PASSWORD) == user
        account = LinkedAccount.objects.get(user=user).account
        assert old.get("/user/").status_code == 200
        if how == "disabled":
            change = AccountChange(disabled=True)
            run(lambda auth: auth.change_account(account, change, actor=Actor()))
        elif how == "inactive":
            Users.filter(pk=user.pk).update(is_active=False)
        else:
            user.delete()
        assert old.get("/user/").status_code == 302
        assert authenticate(None, username=user.username, password=PASSWORD) is None


def test_rest_framework_knows_old_sessions_as_well() -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[OUR_BACKEND, OLD_SESSIONS]):
        user = a_user()
        request = an_old_session(user).get("/").wsgi_request
        found = SessionAuthentication().authenticate(_in_rest_framework(request))
        assert found == (user, None)


def _in_rest_framework(request: HttpRequest) -> Any:
    from rest_framework.request import Request

    return Request(request)


# What a project has beside


@pytest.mark.parametrize("engine", ["db", "cached_db", "signed_cookies", "cache"])
def test_any_engine_of_djangos_sessions_may_stay(engine: str) -> None:
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        client = Client()
        client.force_login(a_user())
        assert client.get("/mine/").status_code == 200
        browser = signed_in(an_account())
        assert browser.get("/mine/").status_code == 200
        browser.post("/sign-out/")
        assert browser.get("/mine/").status_code == 302


def test_behind_a_proxy_that_ends_tls_the_cookie_is_one_of_https() -> None:
    proxied = {"x-forwarded-proto": "https", "host": "testserver"}
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        account, browser = an_account(), a_browser()
        form = {"username": account.email, "password": PASSWORD}
        answer = browser.post("/sign-in/", form, headers=proxied)
        assert "__Host-doorward_session" in answer.cookies
        assert browser.get("/mine/", headers=proxied).status_code == 200


def test_the_admin_signs_in_and_out() -> None:
    account, browser = an_account("admin"), a_browser()
    answer = browser.post("/admin/login/?next=/admin/", {"username": account.email, "password": PASSWORD})
    assert (answer.status_code, answer["location"]) == (302, "/admin/")
    assert browser.get("/admin/").status_code == 200
    assert browser.post("/admin/logout/").status_code == 302
    assert run(lambda auth: auth.sessions(account.id)) == ()
    assert browser.get("/admin/").status_code == 302


def test_messages_outlive_signing_in() -> None:
    from django.contrib import messages
    from django.contrib.auth.signals import user_logged_in

    def greet(request: HttpRequest, **_: object) -> None:
        messages.success(request, "welcome back")

    user_logged_in.connect(greet)
    try:
        browser = signed_in(an_account())
    finally:
        user_logged_in.disconnect(greet)
    assert [str(each) for each in messages.get_messages(browser.get("/mine/").wsgi_request)] == ["welcome back"]
