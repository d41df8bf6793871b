"""The guides on Django and on moving in from it, followed step by step."""

from __future__ import annotations

import io
import unittest
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings

from doorward.audit.model import Actor
from doorward.secret import Secret
from doorward.web.django.conf import forget, run
from doorward.web.django.models import LinkedAccount
from tests.docs.blocks import block, run_block, says
from tests.web.django.people import PASSWORD, QUICK, a_browser, an_email, configured, forget_guards

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
Users: Any = get_user_model()._default_manager


NEW = "an entirely different walrus"


def settings_of(page: str) -> dict[str, Any]:
    """What a page writes into settings.py, with Doorward's database in memory."""
    settings = {name: value for name, value in vars(run_block(page, "settings.py")).items() if name.isupper()}
    if "DOORWARD" in settings:
        settings["DOORWARD"] = {**settings["DOORWARD"], "DATABASE": "memory:", "INSECURE_FAST_HASHING": True}
    return settings


def complaints() -> list[str]:
    return [str(each.id) for each in run_checks() if str(each.id).startswith("doorward.") and not each.is_silenced()]


@pytest.fixture
def user() -> Any:
    Users.filter(doorward_account=None).delete()
    made = PBKDF2PasswordHasher().encode(PASSWORD, "c2VhIHNhbHQ", iterations=1000)
    email = an_email()
    return Users.create(username=email, email=email, password=made)


def test_the_settings_of_the_guide_have_nothing_to_complain_of() -> None:
    with override_settings(**settings_of("django.md")):
        assert complaints() == []
    assert run_block("django.md", "urls.py").urlpatterns
    page = block("django.md", "settings.py")
    assert page.index("AuthenticationMiddleware") < page.index("DoorwardMiddleware")


@pytest.mark.anyio
async def test_the_application_of_the_guide_lets_nobody_connect_who_has_not_signed_in() -> None:
    application = run_block("django.md", "asgi.py").application
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with configured():
        await application({"type": "websocket", "path": "/live/", "headers": []}, None, send)
        await forget_guards()
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": "not_authenticated"}]


def test_the_tests_of_the_guide_pass() -> None:
    kind = run_block("testing-a-django-project.md", "tests.py").MineTests
    kind.databases = {"default"}
    found = unittest.TestResult()
    with configured(), override_settings(**QUICK):
        unittest.defaultTestLoader.loadTestsFromTestCase(kind).run(found)
    assert (found.testsRun, found.errors, found.failures) == (5, [], [])


def test_moving_from_djangos_sessions(user: Any) -> None:
    page = "moving-from-django-sessions.md"
    with configured(), override_settings(**settings_of(page)):
        assert complaints() == []
        before = a_browser()
        with override_settings(AUTHENTICATION_BACKENDS=[MODEL_BACKEND]):
            before.force_login(user)
        assert before_sees(before) == user.email
        call_command(says(page, "manage.py doorward_import_users").split()[1], stdout=io.StringIO())
        browser = a_browser()
        assert browser.post("/sign-in/", {"username": user.email, "password": PASSWORD}).status_code == 302
        assert user.email in browser.get("/mine/").content.decode()
        assert user.email in before_sees(before)
        run(lambda auth: auth.set_password(LinkedAccount.objects.get(user=user).account, Secret(NEW), actor=Actor()))
        assert before_sees(before) == ""
        assert a_browser().post("/sign-in/", {"username": user.email, "password": PASSWORD}).status_code == 200


def before_sees(browser: Any) -> str:
    """Whoever Django's own session has signed in stays so."""
    response = browser.get("/admin/", follow=True)
    return str(getattr(response.wsgi_request.user, "email", ""))


def test_moving_from_simplejwt(user: Any) -> None:
    page = "moving-from-simplejwt.md"
    settings = settings_of(page)
    settings.pop("REST_FRAMEWORK")  # the views of the tests name the class themselves
    with override_settings(**settings, ROOT_URLCONF="tests.web.django.api_urls"):
        assert complaints() == []
        call_command(says(page, "manage.py doorward_import_users").split()[1], stdout=io.StringIO())
        client = a_browser()
        signed_in = client.post(
            "/auth/v1/sessions", {"email": user.email, "password": PASSWORD}, content_type="application/json"
        ).json()
        refreshed = client.post(
            "/auth/v1/token",
            f"grant_type=refresh_token&refresh_token={signed_in['refresh_token']}",
            content_type="application/x-www-form-urlencoded",
        )
        assert refreshed.status_code == 200
        bearer = {"authorization": f"Bearer {refreshed.json()['access_token']}"}
        assert client.get("/who", headers=bearer).json()["email"] == user.email
        assert client.delete("/auth/v1/sessions/current", headers=bearer).status_code == 204
        assert client.get("/who", headers=bearer).status_code == 401
    forget()
