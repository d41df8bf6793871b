from __future__ import annotations

from base64 import urlsafe_b64encode
from random import Random

import pytest

from doorward.errors import ConfigurationError
from doorward.key_strength import LONGEST_PERIOD, weakness_of
from doorward.keyring import problems_of_secrets
from doorward.options import LEAST_ADMIN_KEY_LENGTH, Options, problems_of
from doorward.secret import Secret
from tests.server.test_settings import loaded
from tests.web.test_flask import in_memory


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "shorter"),
        ("changeme", "shorter"),
        ("b7!Kq2_zR9wX4mN8vT5cJ1d"[: LEAST_ADMIN_KEY_LENGTH - 1], "shorter"),
        ("k" * 64, "repeats"),
        ("ab" * 20, "repeats"),
        ("changeme" * 3, "repeats"),
        ("12345678" * 3 + "1234", "repeats"),
        ("abcdefghijklmnopqrstuvwxyz", "sequence"),
        ("zyxwvutsrqponmlkjihgfedcba", "sequence"),
        ("Change-Me-to-something-long-1", "placeholder"),
        ("CHANGE_THIS_BEFORE_PRODUCTION", "placeholder"),
        ("your-super-secret-key-goes-here", "placeholder"),
        ("<replace me with a random key>", "placeholder"),
    ],
)
def test_a_key_that_can_be_guessed_is_refused_and_it_is_said_why(text: str, why: str) -> None:
    weakness = weakness_of(text, least=LEAST_ADMIN_KEY_LENGTH)
    assert weakness is not None
    assert why in weakness


@pytest.mark.parametrize(
    "text",
    [
        "b7!Kq2_zR9wX4mN8vT5cJ1dQ",
        "one secret for all servers of a deployment",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_a_key_that_nobody_guesses_is_taken(text: str) -> None:
    assert weakness_of(text, least=LEAST_ADMIN_KEY_LENGTH) is None


def test_a_random_key_is_taken() -> None:
    random = Random(7)
    for _ in range(100):
        for text in (random.randbytes(16).hex(), urlsafe_b64encode(random.randbytes(32)).decode()):
            assert weakness_of(text, least=LEAST_ADMIN_KEY_LENGTH) is None


def test_a_period_is_short_up_to_eight_characters() -> None:
    assert weakness_of("q7Kz2mXw" * 4, least=24) is not None
    assert weakness_of("q7Kz2mXw9" * 4, least=24) is None
    assert LONGEST_PERIOD == 8


@pytest.mark.parametrize(
    "key",
    [
        "changeme",
        "k" * 40,
        "change-me-please-change-me-now",
        "an admin key with spaces in it",
        "ä" * 3 + "b7Kq2_zR9wX4mN8vT5cJ1dQ",
    ],
)
def test_a_deployment_does_not_start_with_an_admin_key_that_is_no_key(key: str) -> None:
    [problem] = problems_of(Options(admin_key=Secret(key)))
    assert problem.id == "DW004"
    assert "token_urlsafe" in problem.remedy
    assert key not in str(problem)


def test_the_rule_holds_for_settings_and_for_the_configuration_of_an_application() -> None:
    with pytest.raises(ConfigurationError, match="DW004"):
        loaded(DOORWARD_ADMIN_KEY="changeme").doorward()
    from flask import Flask

    from doorward.web.flask import Doorward

    with pytest.raises(ConfigurationError, match="DW004"):
        Doorward().init_app(in_memory(Flask(__name__), DOORWARD_ADMIN_KEY="changeme"))


@pytest.mark.parametrize("secret", ["s" * 40, "changeme" * 5, "a secret"])
def test_a_secret_that_repeats_a_few_characters_is_refused(secret: str) -> None:
    assert [
        problem.id for problem in problems_of_secrets([Secret("a secret of a deployment, long enough"), Secret(secret)])
    ] == ["DW003"]
