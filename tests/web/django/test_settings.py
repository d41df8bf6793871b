"""Settings, checks, tables and commands of a Django project."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import override_settings

from doorward.errors import ConfigurationError
from doorward.stores.sql.postgres_address import parse_postgres
from doorward.web.django import conf, tables
from doorward.web.django.conf import deployment, run
from doorward.web.django.databases import address_of
from doorward.web.django.management.commands.doorward import Command
from tests.web.django.people import an_account, configured
from tests.web.misconfigured import MISCONFIGURED, NOT_TO_BE_ASKED_FOR, WITHOUT_A_SECRET

MIDDLEWARE = "doorward.web.django.middleware.DoorwardMiddleware"
DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"


def ids() -> set[str]:
    return {str(each.id) for each in run_checks() if str(each.id).startswith("doorward.")}


def test_the_monolith_has_nothing_to_complain_of() -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"DOORWARD": {"STRATEGEY": "jwt"}}, {"doorward.DW060"}),
        ({"DOORWARD": {"ACCESS_LIFETIME": 86_400, "STRATEGY": "cookie"}}, {"doorward.DW001", "doorward.DW010"}),
        ({"DOORWARD": {"DATABASE": "memory:", "STRATEGY": "hybrid"}}, {"doorward.W003"}),
        ({"DOORWARD": {"DATABASE": "mysql://"}}, {"doorward.DW050"}),
        ({"MIDDLEWARE": [SESSIONS, DJANGOS]}, {"doorward.E001"}),
        ({"MIDDLEWARE": [SESSIONS, MIDDLEWARE, DJANGOS]}, {"doorward.E002"}),
        ({"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]}, {"doorward.W001"}),
        (
            {
                "AUTHENTICATION_BACKENDS": [
                    "doorward.web.django.backends.DoorwardBackend",
                    "django.contrib.auth.backends.ModelBackend",
                ]
            },
            {"doorward.W002"},
        ),
    ],
)
def test_what_would_not_work_is_said_at_start(settings: dict[str, Any], found: set[str]) -> None:
    with override_settings(**settings):
        assert ids() == found


@pytest.mark.parametrize(("options", "told"), MISCONFIGURED)
def test_no_server_starts_with_what_would_be_unsafe(options: dict[str, Any], told: str) -> None:
    """A server runs no system checks: it loads the middleware."""
    settings = {"DATABASE": "memory:", **{name.upper(): value for name, value in options.items()}}
    for get_application in (get_wsgi_application, get_asgi_application):
        with override_settings(DOORWARD=settings), pytest.raises(ConfigurationError, match=told):
            get_application()
    with override_settings(DOORWARD=settings):
        assert {told.partition(":")[0]} == {each.removeprefix("doorward.") for each in ids() if "DW" in each}


def test_nothing_lets_a_cookie_go_further_and_djangos_secret_has_to_be_one() -> None:
    for name in NOT_TO_BE_ASKED_FOR:
        with override_settings(DOORWARD={"DATABASE": "memory:", name.upper(): "None"}):
            assert "doorward.DW060" in ids()
    with override_settings(DOORWARD={"DATABASE": WITHOUT_A_SECRET}, SECRET_KEY="short"):
        assert "doorward.DW003" in ids()


def test_a_command_says_what_is_wrong_with_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(DOORWARD={"DATABASE": "memory:", "ACCESS_LIFETIME": 86_400}):
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "doorward", "accounts", "list"])
        with pytest.raises(CommandError, match="ended with 2"):
            call_command("doorward", "accounts", "list")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("doorward: DW010: ")


def test_a_lock_that_doorward_would_wait_for_is_said_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    assert ids() == set()
    with override_settings(DOORWARD={"STRATEGY": "session"}):
        assert ids() == {"doorward.E003"}


SQLITE = "django.db.backends.sqlite3"
POSTGRES = "django.db.backends.postgresql"


@pytest.mark.parametrize(
    ("django", "address"),
    [
        ({"ENGINE": SQLITE, "NAME": Path("/srv/db.sqlite3")}, "sqlite:////srv/db.sqlite3"),
        ({"ENGINE": SQLITE, "NAME": "file:memorydb_default?mode=memory&cache=shared"}, "memory:"),
        ({"ENGINE": SQLITE, "NAME": ":memory:"}, "memory:"),
        (
            {"ENGINE": POSTGRES, "NAME": "site", "USER": "ada", "PASSWORD": "p@ss/w:rd", "HOST": "db", "PORT": 5433},
            "postgresql://ada:p%40ss%2Fw%3Ard@db:5433/site",
        ),
        ({"ENGINE": POSTGRES, "NAME": "site", "USER": "ada"}, "postgresql://ada@/site"),
        (
            {"ENGINE": "django.contrib.gis.db.backends.postgis", "NAME": "site", "HOST": "/run/postgresql"},
            "postgresql:///site?host=%2Frun%2Fpostgresql",
        ),
        (
            {"ENGINE": POSTGRES, "NAME": "site", "HOST": "db", "OPTIONS": {"sslmode": "require", "pool": True}},
            "postgresql://db/site?sslmode=require",
        ),
        ({"ENGINE": POSTGRES, "NAME": "site", "HOST": "::1", "PORT": "5433"}, "postgresql://[::1]:5433/site"),
        ({"ENGINE": POSTGRES, "NAME": "site", "HOST": "[fe80::1]"}, "postgresql://[fe80::1]/site"),
        ({"ENGINE": POSTGRES, "NAME": "site", "PORT": 5433}, "postgresql:///site?port=5433"),
        (
            {"ENGINE": POSTGRES, "NAME": "site", "HOST": "/run/pg", "PORT": "5433"},
            "postgresql:///site?port=5433&host=%2Frun%2Fpg",
        ),
        (
            {"ENGINE": POSTGRES, "NAME": "site", "HOST": "one,two", "PORT": "5432,5433"},
            "postgresql:///site?port=5432%2C5433&host=one%2Ctwo",
        ),
        (
            {
                "ENGINE": POSTGRES,
                "NAME": "site",
                "HOST": "db",
                "CONN_MAX_AGE": 60,
                "CONN_HEALTH_CHECKS": True,
                "OPTIONS": {"options": "-c search_path=x", "connect_timeout": 5, "isolation_level": 1},
            },
            "postgresql://db/site?options=-c+search_path%3Dx&connect_timeout=5",
        ),
    ],
)
def test_the_address_of_djangos_database_is_known(django: dict[str, Any], address: str) -> None:
    assert address_of(django, setting="DOORWARD['DATABASE']") == address


def test_a_database_that_doorward_cannot_use_is_refused_without_what_it_says() -> None:
    with pytest.raises(ConfigurationError, match=r"DW103: .*mysql\. Give an address in DOORWARD\['DATABASE'\]") as told:
        address_of({"ENGINE": "django.db.backends.mysql", "PASSWORD": "hunter2hunter2"}, setting="DOORWARD['DATABASE']")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("name", ["passfile", "sslrootcert", "application_name", "target_session_attrs"])
def test_options_that_both_drivers_know_are_passed_on(name: str) -> None:
    address = address_of({"ENGINE": POSTGRES, "NAME": "site", "OPTIONS": {name: "/etc/x"}}, setting="")
    assert parse_postgres(address).options == {name: "/etc/x"}


def test_the_places_that_django_has_are_the_places_that_doorward_has() -> None:
    for host, port, hosts, ports in (
        ("::1", "5433", ("::1",), (5433,)),
        ("/run/pg", "5433", ("/run/pg",), (5433,)),
        ("one,two", "5432,5433", ("one", "two"), (5432, 5433)),
        ("", "5433", ("localhost",), (5433,)),
    ):
        address = parse_postgres(address_of({"ENGINE": POSTGRES, "NAME": "x", "HOST": host, "PORT": port}, setting=""))
        assert (address.hosts, address.ports) == (hosts, ports)


@pytest.mark.parametrize(
    ("django", "named"),
    [
        ({"ENGINE": POSTGRES, "OPTIONS": {"service": "site"}}, "service"),
        ({"ENGINE": POSTGRES, "NAME": "site", "OPTIONS": {"assume_role": "owner"}}, "assume_role"),
        ({"ENGINE": POSTGRES, "NAME": "site", "OPTIONS": {"hostaddr": "127.0.0.1"}}, "hostaddr"),
        ({"ENGINE": POSTGRES, "NAME": "site", "OPTIONS": {"krbsrvname": "x"}}, "krbsrvname"),
        ({"ENGINE": SQLITE, "NAME": "file:site.db?mode=ro"}, "URI"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(
    django: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "settings_dict", django)
    with override_settings(DOORWARD={}), pytest.raises(ConfigurationError, match=named) as told:
        deployment()
    assert "DOORWARD['DATABASE']" in str(told.value)


def test_without_an_address_the_tables_are_in_djangos_database_and_migrated_with_it() -> None:
    file = Path(str(connections["default"].settings_dict["NAME"]))
    with override_settings(DOORWARD={"STRATEGY": "session", "INSECURE_FAST_HASHING": True}):
        before = tables_in(file)
        tables.migrate(using="other")
        assert tables_in(file) == before
        call_command("migrate", verbosity=0)
        assert {"doorward_account", "doorward_linkedaccount"} <= tables_in(file)
        assert deployment().database == f"sqlite:///{file}"
        account = an_account()
        assert run(lambda auth: auth.account(account.id)) == account


def test_the_migrations_lead_to_the_models() -> None:
    call_command("makemigrations", "doorward", check=True, dry_run=True, verbosity=0)


def tables_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_the_secret_is_djangos_and_its_fallbacks_are_honoured() -> None:
    old, new = "an older secret key, long enough for anybody", "a newer secret key, long enough for anybody"
    with override_settings(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old], DOORWARD={"DATABASE": "memory:"}):
        secrets: Any = deployment()._secret
        assert [secret.reveal() for secret in secrets] == [new, old]
    with override_settings(DOORWARD={"DATABASE": "memory:", "SECRET": "a secret of its own, and long enough"}):
        own: Any = deployment()._secret
        assert own.reveal() == "a secret of its own, and long enough"


def test_the_commands_work_on_the_projects_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    account = an_account()
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "doorward", "accounts", "list", account.email])
    assert ended.value.code == 0
    assert account.id in capsys.readouterr().out
    call_command("doorward", "accounts", "list", account.id)
    with pytest.raises(CommandError, match="ended with 1"):
        call_command("doorward", "accounts", "disable", "nobody@example.com")
    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "doorward", "--help"])
    assert "Usage: manage.py doorward" in capsys.readouterr().out


def test_other_settings_leave_the_deployment_alone() -> None:
    with configured():
        before = deployment()
        with override_settings(DEBUG=True):
            assert deployment() is before
        conf.forget(setting="SECRET_KEY")
        assert deployment() is not before
