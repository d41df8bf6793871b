"""Options that contradict each other or weaken a default are refused at start, each with a remedy."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

from doorward.errors import ConfigurationError
from doorward.keys.model import Algorithm
from doorward.options import OPERATION_WITHIN, OptionFields, Options, Strategy, findings_of, problems_of


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def ids_of(**changes: Any) -> list[str]:
    return [problem.id for problem in problems_of(replace(Options(), **changes))]


def test_the_defaults_have_no_problem() -> None:
    assert problems_of(Options()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"strategy": "cookies"}, "DW001"),
        ({"issuer": "auth.example.com"}, "DW002"),
        ({"issuer": "ftp://auth.example.com"}, "DW002"),
        ({"access_lifetime": seconds(59)}, "DW010"),
        ({"access_lifetime": seconds(901)}, "DW010"),
        ({"access_lifetime": timedelta(days=1)}, "DW010"),
        ({"insecure_long_access_lifetime": True, "access_lifetime": timedelta(days=1, seconds=1)}, "DW010"),
        ({"signing_algorithm": Algorithm.HS256, "audience": "payments"}, "DW011"),
        ({"signing_algorithm": "HS256"}, "DW014"),
        ({"signing_algorithm": "none"}, "DW014"),
        ({"clock_skew": seconds(301)}, "DW012"),
        ({"clock_skew": seconds(-1)}, "DW012"),
        ({"refresh_grace": seconds(61)}, "DW020"),
        ({"refresh_grace": seconds(-1)}, "DW020"),
        ({"lost_reply_window": seconds(43_201)}, "DW021"),
        ({"session_idle": seconds(59)}, "DW030"),
        ({"session_idle": timedelta(days=31)}, "DW030"),
        ({"session_idle_remembered": timedelta(hours=12, microseconds=-1)}, "DW034"),
        ({"session_idle_remembered": timedelta(days=30, microseconds=1)}, "DW034"),
        ({"session_absolute": timedelta(days=401)}, "DW031"),
        ({"session_limit": 0}, "DW032"),
        ({"max_staleness": seconds(0)}, "DW033"),
        ({"password_minimum": 7}, "DW036"),
        ({"password_minimum": 65}, "DW036"),
        ({"password_minimum": 0, "insecure_short_passwords": True}, "DW036"),
        ({"cors_origins": ("*",)}, "DW040"),
        ({"cors_origins": ("https://*.example.com",)}, "DW040"),
        ({"cors_origins": ("https://app.example.com/",)}, "DW040"),
        ({"cors_origins": ("app.example.com",)}, "DW040"),
        ({"cors_origins": ("null",)}, "DW040"),
    ],
)
def test_each_bad_option_has_an_id_of_its_own(changes: dict[str, Any], problem: str) -> None:
    assert problem in ids_of(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"access_lifetime": seconds(60)},
        {"access_lifetime": seconds(900)},
        {"insecure_long_access_lifetime": True, "access_lifetime": timedelta(days=1)},
        {"signing_algorithm": Algorithm.HS256, "audience": "http://127.0.0.1:8000"},
        {"refresh_grace": seconds(0)},
        {"refresh_grace": seconds(60)},
        {"lost_reply_window": seconds(0)},
        {"session_limit": 1},
        {"password_minimum": 8},
        {"password_minimum": 64},
        {"password_minimum": 1, "insecure_short_passwords": True},
        {"cors_origins": ("https://app.example.com", "http://127.0.0.1:5173")},
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(changes: dict[str, Any]) -> None:
    assert ids_of(**changes) == []


def test_all_problems_are_told_at_once_each_with_its_remedy() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Options(access_lifetime=timedelta(days=2), refresh_grace=seconds(99)).checked()
    assert [problem.id for problem in refused.value.problems] == ["DW010", "DW020"]
    assert all(problem.remedy for problem in refused.value.problems)


def test_the_typed_names_are_the_options() -> None:
    assert set(OptionFields.__annotations__) == {each.name for each in fields(Options)}


def test_every_option_that_weakens_a_default_says_so_in_its_name_and_is_off() -> None:
    insecure = [each for each in fields(Options) if each.name.startswith("insecure_")]
    assert insecure
    assert all(each.default is False for each in insecure)


def test_no_option_makes_a_cookie_go_further_than_to_its_own_host_and_site() -> None:
    """``SameSite=None`` and ``Domain`` cannot be asked for, so they need not be refused one by one."""
    about_cookies = {each.name for each in fields(Options) if "cookie" in each.name or "site" in each.name}
    assert about_cookies == {"insecure_cookies_over_http", "cookie_prefix"}
    with pytest.raises(TypeError):
        Options(cookie_domain="example.com")  # type: ignore[call-arg]


def test_scopes_come_from_roles_and_from_everybody() -> None:
    options = Options(role_scopes={"*": ("profile",), "admin": ("reports:read", "profile")})
    assert options.scopes_of(()) == ("profile",)
    assert options.scopes_of(("admin",)) == ("profile", "reports:read")


def test_a_revocation_is_remembered_longer_than_any_token_that_it_names() -> None:
    shortened = Options(access_lifetime=seconds(60))
    # The lifetime may have been 900 s a minute ago.
    assert shortened.revocations_live_for >= seconds(900) + 2 * shortened.clock_skew


@pytest.mark.parametrize(
    ("strategy", "seconds", "found"),
    [("hybrid", 7.999, ["DW022"]), ("hybrid", 8, []), ("hybrid", 0, ["DW022"]), ("jwt", 0, []), ("session", 0, [])],
)
def test_a_grace_shorter_than_an_operation_may_take_is_pointed_out(
    strategy: Strategy, seconds: float, found: list[str]
) -> None:
    options = Options(strategy=strategy, refresh_grace=timedelta(seconds=seconds))
    assert [finding.id for finding in findings_of(options)] == found


def test_no_store_takes_longer_for_an_operation_than_is_pointed_out() -> None:
    postgres_runners = import_module("doorward.stores.sql.postgres_runners")
    coalescing = import_module("doorward.stores.sql.coalescing")
    assert max(postgres_runners.OPERATION_TIMEOUT, coalescing.ANSWER_TIMEOUT) == OPERATION_WITHIN


@pytest.mark.parametrize(
    ("given", "remembered"),
    [
        ({}, timedelta(days=14)),
        ({"session_idle": timedelta(days=15)}, timedelta(days=15)),
        ({"session_absolute": timedelta(days=13)}, timedelta(days=13)),
        ({"session_idle": timedelta(hours=1), "session_absolute": timedelta(hours=1)}, timedelta(hours=1)),
        ({"session_idle_remembered": timedelta(days=1)}, timedelta(days=1)),
    ],
)
def test_how_long_a_remembered_session_may_be_unused_follows_the_other_limits_by_default(
    given: dict[str, timedelta], remembered: timedelta
) -> None:
    options = Options(**given)  # type: ignore[arg-type]  # durations alone
    assert problems_of(options) == []
    assert options.session_idle_remembered == remembered
