"""Users of the project's own model: what Doorward fills in, what it says where it cannot, and the hook that does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from doorward.errors import ConfigurationError
from doorward.web.django import users
from doorward.web.django.models import LinkedAccount
from doorward.web.django.users import user_of_account
from tests.web.django.people import an_account, configured, signed_in

Users: Any = get_user_model()._default_manager


def makes_users(account: Any) -> Any:
    return get_user_model()(username=f"made-{account.id}", first_name="Made")


def saves_users(account: Any) -> Any:
    return Users.create_user(f"saved-{account.id}", account.email)


def makes_nobody(account: Any) -> None:
    return None


def makes_without_a_name(account: Any) -> Any:
    return get_user_model()(username=None)


def test_a_project_makes_its_users_itself() -> None:
    for maker, prefix in (("tests.web.django.test_users.makes_users", "made"), (saves_users, "saved")):
        with configured(MAKE_USER=maker):
            account = an_account()
            browser = signed_in(account)
            user = LinkedAccount.objects.get(account=account.id).user
            assert user.username == f"{prefix}-{account.id}"
            assert browser.get("/mine/").wsgi_request.user == user


def test_a_project_that_makes_no_user_for_an_account_has_none() -> None:
    with configured(MAKE_USER=makes_nobody):
        account = an_account()
        assert user_of_account(account) is None
        assert not LinkedAccount.objects.filter(account=account.id).exists()


def test_a_user_that_cannot_be_saved_is_an_error_that_says_what_to_do() -> None:
    with configured(MAKE_USER=makes_without_a_name), pytest.raises(ConfigurationError, match=r"DW113: .*MAKE_USER"):
        user_of_account(an_account())


@pytest.mark.parametrize("maker", ["nowhere.to_be_found", "doorward.errors.nothing", 17])
def test_a_hook_that_cannot_be_called_is_found_at_start(maker: object) -> None:
    from django.core.checks import run_checks

    with override_settings(DOORWARD={"DATABASE": "memory:", "STRATEGY": "session", "MAKE_USER": maker}):
        assert [each.id for each in run_checks() if str(each.id).startswith("doorward.")] == ["doorward.E005"]
        with pytest.raises(ConfigurationError, match=r"DW114: DOORWARD\['MAKE_USER'\]"):
            users.maker()


PROJECT = """
import django
from django.conf import settings

settings.configure(
    AUTH_USER_MODEL="people.Person",
    AUTHENTICATION_BACKENDS=["doorward.web.django.backends.DoorwardBackend"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DOORWARD={"STRATEGY": "session", "STAFF_ROLE": "staff", "INSECURE_FAST_HASHING": True},
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "people", "doorward.web.django"
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "doorward.web.django.middleware.DoorwardMiddleware",
    ],
    ROOT_URLCONF="people.models",
    SECRET_KEY="of a test, and long enough for anybody who asks",
    USE_TZ=True,
)
django.setup()
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client, override_settings
from doorward.audit.model import Actor
from doorward.secret import Secret
from doorward.web.django.conf import run
from people.models import Person, make

call_command("migrate", run_syncdb=True, verbosity=0)
said = {each.id: each.msg for each in run_checks() if each.id.startswith("doorward.")}
print(sorted(said))
print(said["doorward.E004"])
print(said["doorward.W004"])
print(said["doorward.W005"])

signed_up = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
client = Client(raise_request_exception=False)
run(lambda auth: auth.sign_up(email=signed_up["email"], password=Secret(signed_up["password"]), actor=Actor()))
client.post("/auth/v1/sessions", signed_up, content_type="application/json")
print(client.get("/").status_code)
try:
    Client().get("/", headers={"cookie": client.cookies.output(header="", sep=";")})
except Exception as error:
    print(type(error).__name__, error)
with override_settings(DOORWARD={**settings.DOORWARD, "MAKE_USER": make}):
    print([each.id for each in run_checks() if each.id.startswith("doorward.")])
    client = Client()
    client.post("/auth/v1/accounts", signed_up, content_type="application/json")
    client.post("/auth/v1/sessions", signed_up, content_type="application/json")
    print(client.get("/").content.decode())
    other = Client()
    other.force_login(Person.objects.create(handle="bob@example.com", company=7))
    print(other.get("/").content.decode())
"""

MODELS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.http import HttpResponse
from django.urls import include, path


class Person(AbstractBaseUser):
    handle = models.CharField(max_length=80, unique=True)
    company = models.IntegerField()
    badge = models.CharField(max_length=9, unique=True, null=True)
    nickname = models.CharField(max_length=9)
    motto = models.CharField(max_length=9, blank=True)
    USERNAME_FIELD = "handle"
    objects = BaseUserManager()


def make(account):
    return Person(handle=account.email, company=4711)


def whoever(request):
    return HttpResponse(f"{request.user} {getattr(request.user, 'company', None)}")


urlpatterns = [path("", whoever), path("auth/", include("doorward.web.django.urls"))]
"""


def test_a_model_without_an_address_and_with_required_fields_is_told_of_by_name(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "__init__.py").touch()
    (tmp_path / "people" / "models.py").write_text(MODELS)
    (tmp_path / "project.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    cannot = (
        "DW113: Django's user of an account cannot be made (IntegrityError). Of people.Person Doorward cannot fill:"
        " company. Give them defaults, or a function that makes users:"
        " DOORWARD['MAKE_USER'] = 'people.users.make_user'."
    )
    assert done.stdout.splitlines() == [
        "['doorward.E004', 'doorward.W004', 'doorward.W005']",
        "Doorward cannot make users: it has nothing for these fields of people.Person: company.",
        "The users that Doorward makes have these fields of people.Person empty: nickname.",
        "DOORWARD['STAFF_ROLE'] is set, and people.Person has no field is_staff.",
        "500",
        f"ConfigurationError {cannot}",
        "['doorward.W005']",
        "ada@example.com 4711",
        "bob@example.com 7",
    ]
