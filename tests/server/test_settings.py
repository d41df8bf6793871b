"""Flags beat the environment beats the file, and whatever is misspelt or cannot be read is refused with its remedy."""

from __future__ import annotations

import os
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.errors import ConfigurationError, Problem
from doorward.options import Options
from doorward.server.app import ServerApp
from doorward.server.settings import Settings, load_settings, pages_of, warnings_of
from doorward.server.sources import SECRETS, Source

CONTRACT = {
    "DOORWARD_DATABASE": "sqlite:///doorward.db",
    "DOORWARD_STRATEGY": "hybrid",
    "DOORWARD_ISSUER": None,
    "DOORWARD_AUDIENCE": None,
    "DOORWARD_SIGNING_ALGORITHM": "ES256",
    "DOORWARD_ACCESS_LIFETIME": timedelta(seconds=900),
    "DOORWARD_REFRESH_GRACE": timedelta(seconds=10),
    "DOORWARD_LOST_REPLY_WINDOW": timedelta(seconds=300),
    "DOORWARD_SESSION_IDLE": timedelta(seconds=43_200),
    "DOORWARD_SESSION_ABSOLUTE": timedelta(seconds=2_592_000),
    "DOORWARD_SESSION_LIMIT": None,
    "DOORWARD_SIGN_UP": "open",
    "DOORWARD_COOKIE_PREFIX": "doorward",
    "DOORWARD_MAX_STALENESS": timedelta(seconds=5),
    "DOORWARD_SECRET": (),
    "DOORWARD_ADMIN_KEY": None,
    "DOORWARD_CORS_ORIGINS": (),
    "DOORWARD_RATE_LIMITS": True,
}
LONG = "x" * 40


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("DOORWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(**variables: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return load_settings().settings


def refused(**variables: str) -> tuple[Problem, ...]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
    return caught.value.problems


def test_every_variable_of_the_contract_is_there_with_its_default() -> None:
    settings = load_settings().settings
    assert {name: getattr(settings, name.removeprefix("DOORWARD_").lower()) for name in CONTRACT} == CONTRACT


def test_every_option_can_be_set_by_its_own_name() -> None:
    assert {each.name for each in fields(Options)} <= set(Settings.model_fields)
    assert Options(**load_settings().settings.options) == Options()


def test_a_flag_beats_the_environment_which_beats_the_file(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "doorward.toml").write_text('port = 1\nhost = "127.0.0.3"\nrefresh_grace = 7\n')
    monkeypatch.setenv("DOORWARD_PORT", "2")
    monkeypatch.setenv("DOORWARD_HOST", "127.0.0.2")
    found = load_settings({"port": 3, "host": None})
    assert (found.settings.port, found.settings.host) == (3, "127.0.0.2")
    assert found.settings.refresh_grace == timedelta(seconds=7)
    assert {name: str(origin) for name, origin in found.origins.items()} == {
        "port": "--port",
        "host": "DOORWARD_HOST",
        "refresh_grace": "refresh_grace in doorward.toml",
    }


def test_another_file_can_be_named_by_flag_and_by_variable(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "doorward.toml").write_text("port = 1\n")
    (empty_folder / "a.toml").write_text("port = 2\n")
    (empty_folder / "b.toml").write_text("port = 3\n")
    monkeypatch.setenv("DOORWARD_CONFIG", "a.toml")
    assert load_settings().settings.port == 2
    assert load_settings(config=Path("b.toml")).settings.port == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("on", True), ("off", False), ("true", True), ("no", False), ("1", True), ("0", False), ("Yes", True)],
)
def test_switches_take_what_people_write(text: str, *, expected: bool) -> None:
    assert loaded(DOORWARD_RATE_LIMITS=text).rate_limits is expected


def test_lists_are_separated_by_commas_in_the_environment_and_lists_in_the_file(empty_folder: Path) -> None:
    expected = ("https://a.example.com", "https://b.example.com")
    assert loaded(DOORWARD_CORS_ORIGINS=" https://a.example.com, https://b.example.com,").cors_origins == expected
    (empty_folder / "doorward.toml").write_text(f"cors_origins = {list(expected)}\n")
    assert load_settings().settings.cors_origins == expected


def test_scopes_of_roles_are_json_in_the_environment_and_a_table_in_the_file(empty_folder: Path) -> None:
    expected = {"admin": ("reports:read", "reports:write")}
    assert loaded(DOORWARD_ROLE_SCOPES='{"admin": ["reports:read", "reports:write"]}').role_scopes == expected
    (empty_folder / "doorward.toml").write_text('[role_scopes]\nadmin = ["reports:read", "reports:write"]\n')
    assert load_settings().settings.role_scopes == expected


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert loaded(DOORWARD_SESSION_LIMIT="", DOORWARD_PORT="", DOORWARD_AUDIENCE="").port == 8000


def test_several_secrets_are_taken_the_newest_first(empty_folder: Path) -> None:
    newest, older = "n" * 40, "o" * 40
    assert [each.reveal() for each in loaded(DOORWARD_SECRET=f"{newest},{older}").secret] == [newest, older]
    (empty_folder / "secret").write_text(f"{newest},{older}\n")
    assert [each.reveal() for each in loaded(DOORWARD_SECRET_FILE="secret").secret] == [newest, older]


def test_a_secret_in_a_file_of_its_own_is_read_without_its_line_break(empty_folder: Path) -> None:
    (empty_folder / "key").write_text(f"{LONG}\n")
    key = loaded(DOORWARD_ADMIN_KEY_FILE="key").admin_key
    assert key is not None
    assert key.reveal() == LONG


def test_a_secret_file_in_the_environment_beats_a_secret_in_the_file(empty_folder: Path) -> None:
    (empty_folder / "doorward.toml").write_text(f'secret = "{"t" * 40}"\n')
    (empty_folder / "secret").write_text(LONG)
    assert [each.reveal() for each in loaded(DOORWARD_SECRET_FILE="secret").secret] == [LONG]


OF_A_SERVICE = {
    "DOORWARD_SERVICE_HOST": "10.0.0.1",
    "DOORWARD_SERVICE_PORT": "80",
    "DOORWARD_SERVICE_PORT_HTTP": "80",
    "DOORWARD_PORT": "tcp://10.0.0.1:80",
    "DOORWARD_PORT_80_TCP": "tcp://10.0.0.1:80",
    "DOORWARD_PORT_80_TCP_PROTO": "tcp",
    "DOORWARD_PORT_80_TCP_PORT": "80",
    "DOORWARD_PORT_80_TCP_ADDR": "10.0.0.1",
}
OF_ANOTHER = {
    "DOORWARD_POSTGRES_SERVICE_HOST": "fd00::1",
    "DOORWARD_POSTGRES_SERVICE_PORT": "5432",
    "DOORWARD_POSTGRES_PORT": "tcp://[fd00::1]:5432",
    "DOORWARD_POSTGRES_PORT_5432_TCP_ADDR": "fd00::1",
    "DOORWARD_DNS_PORT_53_UDP": "udp://10.0.0.1:53",
}


def test_the_variables_of_a_kubernetes_service_are_passed_over() -> None:
    settings = loaded(**OF_A_SERVICE, **OF_ANOTHER, DOORWARD_STRATEGY="session")
    assert (settings.port, settings.host, settings.strategy) == (8000, "127.0.0.1", "session")
    assert loaded(**{**OF_A_SERVICE, "DOORWARD_PORT": "9000"}).port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOORWARD_PORT", "tcp:/10.0.0.1:80"),
        ("DOORWARD_SERVICE_HOST", "localhost"),
        ("DOORWARD_SERVICE_PORT", "http"),
        ("DOORWARD_SERVICE_POR", "80"),
        ("DOORWARD_PORT_80_TCP", "10.0.0.1"),
        ("DOORWARD_REDIS_PORT", "6379"),
    ],
)
def test_what_only_looks_like_one_is_refused_as_any_misspelt_setting(name: str, value: str) -> None:
    [problem] = refused(**OF_A_SERVICE | {name: value})
    assert problem.message.startswith(name)


@pytest.mark.parametrize(
    ("variables", "problem", "names"),
    [
        ({"DOORWARD_ACCESS_LIFETIM": "900"}, "DW060", "DOORWARD_ACCESS_LIFETIME?"),
        ({"DOORWARD_SESION_IDLE": "900"}, "DW060", "DOORWARD_SESSION_IDLE?"),
        ({"DOORWARD_ADMIN_KEYFILE": "x"}, "DW060", "DOORWARD_ADMIN_KEY_FILE?"),
        ({"DOORWARD_ZZZZ": "1"}, "DW060", "config show"),
        ({"DOORWARD_PORT": "http"}, "DW061", "integer"),
        ({"DOORWARD_PORT": "65536"}, "DW061", "65535"),
        ({"DOORWARD_WORKERS": "0"}, "DW061", "1"),
        ({"DOORWARD_STRATEGY": "cookies"}, "DW061", "hybrid"),
        ({"DOORWARD_SIGNING_ALGORITHM": "none"}, "DW061", "ES256"),
        ({"DOORWARD_ACCESS_LIFETIME": "15m"}, "DW061", "whole seconds"),
        ({"DOORWARD_ACCESS_LIFETIME": "900.5"}, "DW061", "whole seconds"),
        ({"DOORWARD_ACCESS_LIFETIME": "-1"}, "DW061", "whole seconds"),
        ({"DOORWARD_ACCESS_LIFETIME": "٣"}, "DW061", "whole seconds"),
        ({"DOORWARD_AUDIT_RETENTION": "9" * 40}, "DW061", "whole seconds"),
        ({"DOORWARD_RATE_LIMITS": "perhaps"}, "DW061", "boolean"),
        ({"DOORWARD_ROLE_SCOPES": "admin"}, "DW061", "JSON"),
        ({"DOORWARD_SECRET": ""}, "DW061", "leave it out"),
        ({"DOORWARD_SECRET": f"{LONG},"}, "DW061", "leave it out"),
        ({"DOORWARD_SECRET_FILE": "not there"}, "DW063", "readable"),
        ({"DOORWARD_SECRET": LONG, "DOORWARD_SECRET_FILE": "x"}, "DW064", "Leave one"),
        ({"DOORWARD_REDIS_URL": ""}, "DW061", "leave it out"),
        ({"DOORWARD_REDIS_URL": "redis://a", "DOORWARD_REDIS_URL_FILE": "x"}, "DW064", "Leave one"),
        ({"DOORWARD_DATABASE": "memory:", "DOORWARD_WORKERS": "2"}, "DW066", "one worker"),
        ({"DOORWARD_CONFIG": "not-there.toml"}, "DW062", "TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_remedy(variables: dict[str, str], problem: str, names: str) -> None:
    found = refused(**variables)
    assert [each.id for each in found] == [problem]
    assert names in found[0].remedy
    assert next(iter(variables)) in found[0].message or problem in {"DW062", "DW064", "DW066"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port = ", "DW062"),
        ("prt = 1", "DW060"),
        ("host = 7", "DW061"),
        ("access_lifetime = 900.0", "DW061"),
        ("access_lifetime = '15m'", "DW061"),
        ("config = 'other.toml'", "DW060"),
        ("secret = 12", "DW061"),
        ("# " + "x" * 70_000, "DW062"),
    ],
)
def test_a_file_is_judged_as_strictly(empty_folder: Path, text: str, problem: str) -> None:
    (empty_folder / "doorward.toml").write_text(text)
    assert [each.id for each in refused()] == [problem]


def test_a_file_that_is_no_text_is_refused(empty_folder: Path) -> None:
    (empty_folder / "doorward.toml").write_bytes(b"\xff\xfe")
    assert [each.id for each in refused()] == ["DW062"]


def test_all_problems_are_told_at_once() -> None:
    found = refused(DOORWARD_PORTT="1", DOORWARD_REDIS_URL="", DOORWARD_SECRET_FILE="not there")
    assert {each.id for each in found} == {"DW060", "DW063"}
    found = refused(DOORWARD_PORT="x", DOORWARD_STRATEGY="x")
    assert len(found) == 2


def test_no_problem_repeats_a_value(empty_folder: Path) -> None:
    told = refused(DOORWARD_PORT="hunter2", DOORWARD_ADMIN_KEY="hunter2", DOORWARD_ACCESS_LIFETIME="hunter2")
    (empty_folder / "doorward.toml").write_text("secret = hunter2")
    assert not any("hunter2" in str(each) for each in (*told, *refused()))


def test_pages_are_there_unless_they_are_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages_of(load_settings().settings) is not None
    monkeypatch.setenv("DOORWARD_PAGES", "off")
    # Whatever else is said of them.
    monkeypatch.setenv("DOORWARD_PAGES_FOLDER", str(tmp_path / "missing"))
    assert pages_of(load_settings().settings) is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PAGES_FOLDER", "missing", "DW122"),
        ("PAGES_RETURN_TO", "https://app.example.com,app.example.com", "DW124"),
        ("GEO_DATABASE", "missing.mmdb", "DW121"),
    ],
)
def test_what_the_pages_cannot_use_is_told_at_start(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"DOORWARD_{name}", value)
    settings = load_settings().settings
    with pytest.raises(ConfigurationError) as caught:
        ServerApp(settings.doorward(), settings)
    assert [each.id for each in caught.value.problems] == [problem]


def test_the_issuer_is_where_the_server_is_unless_it_is_given() -> None:
    assert load_settings({"port": 9000}).settings.options["issuer"] == "http://127.0.0.1:9000"
    assert load_settings({"host": "0.0.0.0"}).settings.options["issuer"] == "http://127.0.0.1:8000"
    assert load_settings({"host": "::1"}).settings.options["issuer"] == "http://[::1]:8000"
    assert load_settings({"issuer": "https://a.example.com"}).settings.options["issuer"] == "https://a.example.com"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, []),
        ({"host": "localhost"}, []),
        ({"host": "::1"}, []),
        ({"host": "0.0.0.0"}, ["DW067"]),
        ({"host": "192.0.2.1"}, ["DW067"]),
        ({"host": "0.0.0.0", "issuer": "https://auth.example.com"}, []),
    ],
)
def test_plain_http_for_others_than_this_machine_is_warned_of(flags: dict[str, str], expected: list[str]) -> None:
    assert [each.id for each in warnings_of(load_settings(flags).settings)] == expected


def test_settings_do_not_show_their_secrets() -> None:
    settings = loaded(
        DOORWARD_SECRET=LONG, DOORWARD_ADMIN_KEY=f"{LONG}y", DOORWARD_REDIS_URL=f"redis://:{LONG}z@127.0.0.1"
    )
    assert LONG not in f"{settings!r} {settings}"


def test_the_address_of_redis_is_a_secret_and_so_are_the_passwords_in_it(empty_folder: Path) -> None:
    address = "redis+sentinel://ada:first-pass%40word@10.0.0.5/sessions?sentinel_password=second-password"
    (empty_folder / "redis").write_text(f"{address}\n")
    settings = loaded(DOORWARD_REDIS_URL_FILE="redis")
    assert settings.redis_url is not None
    assert settings.redis_url.reveal() == address
    assert {"first-pass@word", "second-password"} <= {each.reveal() for each in settings.secrets}


def test_each_origin_says_where_to_look() -> None:
    assert [each.value for each in Source] == ["flag", "environment", "file", "default"]


def test_the_example_of_a_file_names_every_setting_and_is_read(empty_folder: Path) -> None:
    example = (Path(__file__).parents[2] / "doorward.toml.example").read_text()
    commented = [line.removeprefix("# ") for line in example.splitlines() if line.startswith("# ") and " = " in line]
    files = {f"{name}_file" for name in SECRETS}
    named = {line.partition(" = ")[0] for line in commented} | {"role_scopes"}
    assert named == (set(Settings.model_fields) | files) - {*SECRETS}
    defaults = [line for line in commented if not line.startswith(tuple(files))]
    (empty_folder / "doorward.toml").write_text("\n".join(defaults))
    assert load_settings().settings.options == load_settings(config=Path(os.devnull)).settings.options
