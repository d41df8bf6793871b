"""A token is explained, and nobody takes an explanation for a verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward.blocking import run_blocking
from doorward.cli.claims import describe
from doorward.cli.output import relative, span

Command = Callable[..., Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def words(done: Any) -> str:
    return " ".join(done.out.split())


def test_a_genuine_token_is_verified_and_every_claim_explained(database: Command, application: Any) -> None:
    done = database("token", "inspect", stdin=application.access_token())
    assert done.code == 0
    assert done.out.startswith("VERIFIED: signed by a key of this deployment")
    for name in ("alg", "kid", "typ", "iss", "sub", "aud", "exp", "iat", "jti", "sid", "gen", "ver", "amr"):
        assert f" {name} " in words(done)
    assert "in 14 minutes" in words(done) or "in 15 minutes" in words(done)


def test_it_takes_an_argument_a_dash_and_a_header_as_well(database: Command, application: Any) -> None:
    token = application.access_token()
    assert database("token", "inspect", token).out.startswith("VERIFIED")
    assert database("token", "inspect", "-", stdin=f"{token}\n").out.startswith("VERIFIED")
    assert database("token", "inspect", stdin=f"Bearer {token}\n").out.startswith("VERIFIED")


def test_without_keys_it_says_in_capitals_that_nothing_is_verified(
    database: Command, application: Any, tmp_path: Path
) -> None:
    token = application.access_token()
    done = database("token", "inspect", "--database", f"sqlite:///{tmp_path}/other.db", stdin=token)
    assert done.code == 0
    assert done.out.startswith("NOT VERIFIED: ")
    assert "Anybody can have written this" in done.out
    assert "VERIFIED" not in done.out.replace("NOT VERIFIED", "")
    assert not (tmp_path / "other.db").exists()


def test_a_forged_one_is_refused_and_still_explained(database: Command, application: Any) -> None:
    head, body, signature = application.access_token().split(".")
    forged = f"{head}.{body}.{signature[:-4]}AAAA"
    done = database("token", "inspect", stdin=forged)
    assert done.code == 1
    assert done.out.startswith("REFUSED: ")
    assert "Believe nothing" in done.out
    assert " sub " in words(done)


def test_one_whose_session_has_ended_is_refused(database: Command, application: Any) -> None:
    signed_in = application.sign_in()
    database("sessions", "end", signed_in.session.id)
    done = database("token", "inspect", stdin=signed_in.credentials.access_token.text.reveal())
    assert done.code == 1
    assert "has been revoked" in done.out


def test_one_of_another_issuer_is_refused_and_says_where_an_issuer_is_named(
    database: Command, application: Any
) -> None:
    token = application.access_token()
    done = database("token", "inspect", "--issuer", "https://other.example.com", stdin=token)
    assert (done.code, "iss" in done.out.splitlines()[0]) == (1, True)
    assert "--issuer" in done.out


def test_a_key_set_verifies_where_there_is_no_database(database: Command, application: Any, tmp_path: Path) -> None:
    token = application.access_token()
    with application.open() as auth:
        (tmp_path / "jwks.json").write_text(json.dumps(run_blocking(auth.key_set())))
    done = database("token", "inspect", "--jwks", "jwks.json", stdin=token)
    assert done.code == 0
    assert done.out.startswith("VERIFIED: ")
    assert "whether it has been revoked, only the issuer knows" in done.out
    answer = database("token", "inspect", "--jwks", "jwks.json", "--json", stdin=token).json
    assert (answer["verdict"], answer["header"]["typ"]) == ("verified", "at+jwt")
    assert answer["claims"]["iss"] == "http://127.0.0.1:8000"


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"keys": 1}', '{"keys": [{}]}', '{"keys": [{"kty": "oct"}]}'])
def test_what_is_no_key_set_is_told_so(database: Command, application: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "jwks.json").write_text(text)
    done = database("token", "inspect", "--jwks", "jwks.json", stdin=application.access_token())
    assert done.code == 2
    assert "DW071" in done.err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "cannot even be read"),
        ("a.b", "cannot even be read"),
        ("eyJhbGciOiJub25lIn0.e30.", "cannot even be read"),
        ("x" * 20_000, "cannot even be read"),
        ("dwr_AAAA", "refresh token"),
        ("dws_AAAA", "session cookie"),
    ],
)
def test_what_is_no_access_token_is_told_so_and_not_repeated(command: Command, text: str, named: str) -> None:
    done = command("token", "inspect", stdin=text)
    assert done.code == 1
    assert named in done.err
    assert len(text) < 4 or text not in done.err


def test_claims_of_any_kind_can_be_described() -> None:
    odd = {
        "exp": "soon",
        "iat": 10**15,
        "nbf": -1,
        "auth_time": True,
        "x": [1, {"y": None}],
        "aud": ["a", "b"],
        "\x1b": 1,
    }
    assert len(list(describe({"alg": "none", "jku": "https://x"}, odd, now=NOW))) == 9


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "now"),
        (0.4, "now"),
        (1, "in 1 second"),
        (-1, "1 second ago"),
        (61, "in 1 minute 1 second"),
        (-3_600, "1 hour ago"),
        (90_061, "in 1 day 1 hour"),
    ],
)
def test_times_are_told_relative_to_now(seconds: float, expected: str) -> None:
    assert relative(NOW + timedelta(seconds=seconds), now=NOW) == expected


def test_a_span_has_two_units_at_most() -> None:
    assert span(timedelta(days=2, hours=3, minutes=4)) == "2 days 3 hours"
    assert span(timedelta()) == "less than a second"
