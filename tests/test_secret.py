"""A secret does not leak by accident."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from doorward.secret import Secret

TEXT = "dwr_this-must-not-be-seen"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{0!r:>40}".format, lambda s: f"{s}", lambda s: f"{[s]}"])
def test_a_secret_is_redacted_wherever_it_is_printed(show: object) -> None:
    assert callable(show)
    assert TEXT not in show(Secret(TEXT))


def test_comparing_secrets_with_equals_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Secret\.matches"):
        _ = Secret(TEXT) == Secret(TEXT)
    with pytest.raises(TypeError):
        _ = Secret(TEXT) != TEXT


def test_a_secret_is_no_dictionary_key() -> None:
    with pytest.raises(TypeError):
        _ = {Secret(TEXT): 1}


def test_a_secret_is_neither_pickled_nor_turned_into_json() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(TEXT))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(TEXT))
    with pytest.raises(TypeError):
        json.dumps(Secret(TEXT))


def test_matching_takes_any_text() -> None:
    assert Secret("pässwörd").matches(Secret("pässwörd"))
    assert not Secret(TEXT).matches(Secret(TEXT[:-1]))
    assert not Secret("").matches(Secret(TEXT))


def test_revealing_gives_the_text() -> None:
    assert Secret(TEXT).reveal() == TEXT
