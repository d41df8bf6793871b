"""Options in Python are checked as the settings are: each problem says what to do, and all are reported at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from doorward import doorward
from doorward.assurance import Demands
from doorward.blocking import run_blocking
from doorward.errors import ConfigurationError
from doorward.keys.model import Algorithm
from doorward.option_values import options_of
from doorward.options import Options
from doorward.secret import Secret
from doorward.verifier import Verifier
from doorward.web import fastapi, flask, litestar, starlette

EVERY_CLASS = [doorward.Doorward, fastapi.Doorward, starlette.Doorward, litestar.Doorward, flask.Doorward]


def problems_of(make: Callable[..., Any], **options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        make("memory:", **options)
    return [str(each) for each in refused.value.problems]


@pytest.mark.parametrize("make", EVERY_CLASS)
@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("access_lifetime", "10m", "whole seconds"),
        ("access_lifetime", 600.5, "whole seconds"),
        ("access_lifetime", True, "whole seconds"),
        ("access_lifetime", 10**40, "whole seconds"),
        ("cors_origins", "https://a.example", "list or tuple"),
        ("cors_origins", ["https://a.example", 7], "list or tuple"),
        ("rate_limits", "off", "True or False"),
        ("session_limit", "5", "whole number"),
        ("session_limit", True, "whole number"),
        ("issuer", b"https://a.example", "str"),
        ("audience", 7, "str"),
        ("admin_key", 7, "Secret"),
        ("secret", 7, "Secret"),
        ("secret", [7], "Secret"),
        ("role_scopes", {"admin": "reports"}, "dict of lists"),
        ("role_scopes", ["admin"], "dict of lists"),
        ("signing_algorithm", "none", "ES256"),
        ("on_sign_up", "hook", "function"),
    ],
)
def test_an_option_of_the_wrong_type_is_one_problem_with_its_remedy(
    make: Callable[..., Any], option: str, value: Any, remedy: str
) -> None:
    (problem,) = problems_of(make, **{option: value})
    assert problem.startswith(f"DW061: {option} cannot be read.")
    assert remedy in problem


@pytest.mark.parametrize("make", EVERY_CLASS)
@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("access_life", "access_lifetime"), ("cors_origin", "cors_origins"), ("memcache", "memcached")],
)
def test_an_unknown_option_names_the_one_that_is_meant(make: Callable[..., Any], misspelt: str, meant: str) -> None:
    (problem,) = problems_of(make, **{misspelt: 1})
    assert problem == f"DW060: {misspelt} is no setting of Doorward. Did you mean {meant}?"


def test_unknown_names_wrong_types_and_contradictions_are_reported_at_once() -> None:
    problems = problems_of(
        doorward.Doorward, access_life=1, cors_origins="https://a.example", refresh_grace=99, secret="short", redis=7
    )
    assert [each.partition(":")[0] for each in problems] == ["DW061", "DW060", "DW061", "DW020", "DW003"]


def test_no_message_repeats_a_value() -> None:
    assert "walrus" not in "".join(problems_of(doorward.Doorward, access_lifetime="walrus", cors_origins="walrus"))


def test_whole_seconds_lists_and_texts_are_converted() -> None:
    options, problems = options_of(
        {
            "access_lifetime": 600,
            "cors_origins": ["https://a.example"],
            "signing_algorithm": "EdDSA",
            "admin_key": "Zk3vQ8xW1mN6tR5yB2cJ7hL4",
            "role_scopes": {"admin": ["reports:read"]},
        }
    )
    assert problems == []
    assert options.access_lifetime == timedelta(minutes=10)
    assert (options.cors_origins, options.signing_algorithm) == (("https://a.example",), Algorithm.EDDSA)
    assert isinstance(options.admin_key, Secret)
    assert options.role_scopes == {"admin": ("reports:read",)}


@pytest.mark.parametrize("option", [each.name for each in fields(Options)])
def test_every_option_has_a_type_that_is_checked(option: str) -> None:
    _, problems = options_of({option: object()})
    assert problems


@pytest.mark.parametrize("option", ["issuer", "audience", "max_staleness", "clock_skew", "tokens_remembered"])
def test_a_verifiers_option_of_the_wrong_type_has_a_remedy(option: str) -> None:
    given: dict[str, Any] = {"issuer": "https://a.example", "audience": "a", "credential": "x", option: 1.5}
    with pytest.raises(ConfigurationError, match=f"DW061: {option} cannot be read"):
        Verifier(**given)


def test_a_verifier_takes_whole_seconds() -> None:
    given: dict[str, Any] = {"issuer": "https://a.example", "audience": "a", "credential": "x", "max_staleness": 9}
    verifier = Verifier(**given)
    assert verifier.options.max_staleness == timedelta(seconds=9)


def test_a_demand_in_seconds_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="timedelta"):
        Demands(fresh=300)  # type: ignore[arg-type]


def test_several_secrets_may_be_given_as_texts() -> None:
    secrets = ["Zk3vQ8xW1mN6tR5yB2cJ7hL4pD9sF0gA", "qW7eR2tY9uI4oP1aS6dF3gH8jK5lZ0xC"]
    auth = doorward.Doorward("memory:", secret=secrets, blocking=True)  # type: ignore[arg-type]  # a list of texts
    run_blocking(auth.open())
    assert auth.is_open
    run_blocking(auth.close())
