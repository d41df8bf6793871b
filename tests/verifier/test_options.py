"""Which options make a verifier, and what is said of those that make none."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Any

import pytest

from doorward.errors import ConfigurationError
from doorward.secret import Secret
from doorward.verifier import Verifier

GOOD: dict[str, Any] = {"issuer": "https://auth.example.com", "audience": "payments", "credential": "dwv_x"}


def anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture(autouse=True)
def _no_credential_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORWARD_VERIFIER_CREDENTIAL", raising=False)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"credential": Secret("dwv_x")},
        {"issuer": "https://example.com:8443/auth"},
        {"issuer": "http://127.0.0.1:8000", "insecure_http": True},
        {"credential": None, "insecure_without_revocations": True},
        {"max_staleness": timedelta(seconds=1)},
        {"max_staleness": timedelta(minutes=5), "clock_skew": timedelta(0)},
    ],
    ids=str,
)
def test_options_that_can_be_honoured_are(changes: dict[str, Any]) -> None:
    Verifier(**GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"audience": ""}, "DW080"),
        *[
            ({"issuer": issuer}, "DW081")
            for issuer in (
                "",
                "auth.example.com",
                "ftp://auth.example.com",
                "https://",
                "https://auth.example.com?x",
                "https://auth.example.com#x",
                "https://u:p@auth.example.com",
                "https://auth.example.com:port",
                "https://auth.example.com:99999",
                "https://auth.example.com/a b",
                "https://auth.example.com/\r\nx: y",
                "https://b\u00fccher.example",
            )
        ],
        ({"issuer": "http://auth.example.com"}, "DW082"),
        ({"issuer": "http://127.0.0.1:8000"}, "DW082"),
        pytest.param({"tls": anybody()}, "DW083", id="tls"),
        ({"credential": None}, "DW084"),
        ({"credential": ""}, "DW085"),
        ({"credential": "dwv_x\r\nHost: elsewhere"}, "DW085"),
        ({"credential": "dwv_\u00fc"}, "DW085"),
        ({"insecure_without_revocations": True}, "DW086"),
        ({"credential": None, "insecure_without_revocations": True, "on_stale": "deny"}, "DW087"),
        ({"max_staleness": timedelta(seconds=0.9)}, "DW088"),
        ({"max_staleness": timedelta(minutes=6)}, "DW088"),
        ({"clock_skew": timedelta(seconds=-1)}, "DW088"),
        ({"clock_skew": timedelta(minutes=6)}, "DW088"),
        ({"start_within": timedelta(seconds=-1)}, "DW088"),
        ({"introspect_within": timedelta(0)}, "DW088"),
        ({"tokens_remembered": 1}, "DW088"),
        ({"on_stale": "alow"}, "DW088"),
        ({"when_cold": "hope"}, "DW088"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_honoured_is_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Verifier(**GOOD | changes)
    assert [each.id for each in caught.value.problems] == [problem]


def test_the_credential_is_not_in_what_is_said_of_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Verifier(**GOOD | {"credential": "hunter2 hunter2"})
    assert "hunter2" not in str(caught.value)
