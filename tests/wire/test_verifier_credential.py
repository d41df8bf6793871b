from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.testing import SeededEntropy
from doorward.wire.verifier_credential import (
    VerifierCredential,
    new_verifier_credential,
    parse_verifier_credential,
    write_verifier_credential,
)

GENUINE = write_verifier_credential(new_verifier_credential(SeededEntropy(1))).reveal()


@given(st.binary(min_size=30, max_size=30))
def test_what_is_written_is_read_back(content: bytes) -> None:
    made = new_verifier_credential(lambda count: content[:count] if count == 6 else content[6:])
    text = write_verifier_credential(made).reveal()
    assert parse_verifier_credential(text) == made
    assert len(text) == 44
    assert text[4:12] == made.id


@pytest.mark.parametrize(
    "text", ["", "dwv_", GENUINE[:-1], GENUINE + "A", GENUINE + "=", GENUINE.replace("dwv", "dws")]
)
def test_what_we_never_wrote_is_none(text: str) -> None:
    assert parse_verifier_credential(text) is None


def test_a_secret_has_no_place_in_a_repr() -> None:
    assert "secret" not in repr(VerifierCredential(id="AAAAAAAA", secret=b"x" * 24))
