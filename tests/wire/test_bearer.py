from __future__ import annotations

import pytest

from doorward.errors import InvalidToken
from doorward.wire.bearer import LONGEST_CREDENTIAL, parse_authorization


@pytest.mark.rfc("6750", "2.1")
@pytest.mark.parametrize("header", ["Bearer abc.def-_~+/=", "bearer abc.def-_~+/=", "BEARER   abc.def-_~+/="])
def test_the_scheme_is_read_without_regard_to_case(header: str) -> None:
    secret = parse_authorization(header)
    assert secret is not None
    assert secret.reveal() == "abc.def-_~+/="


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "DPoP abc", "Bearerabc", "Basic YTpi, Bearer abc"])
def test_other_schemes_are_somebody_elses_business(header: str | None) -> None:
    assert parse_authorization(header) is None


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "Bearer a\tb", "Bearer é", "Bearer a\x00"]
)
def test_a_malformed_bearer_credential_is_refused(header: str) -> None:
    with pytest.raises(InvalidToken):
        parse_authorization(header)


def test_a_credential_over_8_kib_is_not_looked_at() -> None:
    fits = "Bearer " + "a" * (LONGEST_CREDENTIAL - len("Bearer "))
    assert parse_authorization(fits) is not None
    with pytest.raises(InvalidToken):
        parse_authorization(fits + "a")


def test_the_credential_is_not_in_the_error() -> None:
    with pytest.raises(InvalidToken) as caught:
        parse_authorization("Bearer hunter2 hunter2")
    assert "hunter2" not in str(caught.value)
