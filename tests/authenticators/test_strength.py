"""How easily a password is guessed."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zxcvbn
from django.contrib.auth.password_validation import CommonPasswordValidator
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching

from doorward.authenticators.blocklist import _list, is_common
from doorward.authenticators.strength import JUDGED, Weak, _judged, decide_strength, judge_strength
from doorward.errors import ValidationFailed, WeakPassword
from doorward.secret import Secret

ADA = ["ada.lovelace@analytical-engine.example", "Ada King"]
SYMBOLS = "@({[<!|$+%"
DIGITS = "0123456789"


def is_weak(text: str, about: list[str] = ADA) -> bool:
    return decide_strength(Secret(text), about=about) is not None


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "lantern velvet otter",
        "gkWq82nz",  # eight characters drawn at random
        "7$kQ!vPz",
        "Korrektes Pferd",
        "μῆνιν ἄειδε θεὰ",
        "今日はとても良い天気です",
        "\N{PILE OF POO}\N{FAMILY}\N{BOY}\N{ROSE}\N{DROPLET}\N{ROCKET}\N{RAINBOW}\N{GHOST}\N{SNAIL}",
        "x" + "".join(chr(33 + 7 * n % 90) for n in range(255)),
    ],
)
def test_what_is_hard_to_guess_is_taken_without_rules_of_composition(text: str) -> None:
    assert not is_weak(text)


@pytest.mark.parametrize(
    "text",
    [
        "password",
        "Password1!",
        "P@ssw0rd",
        "P@$$w0rd1!",
        "12345678",
        "qwertyuiop",
        "zxcvbnm,./",
        "iloveyou",
        "drowssap",
        "letmein123",
        "Summer2026!",
        "November2026",
        "19911231",
        "abcdefghijklmnop",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabc",
        "password" * 32,
        "a" * 256,
        "        ",
        "\x00" * 8,
        "İİİİİİİİtrustno1",
        "0000000\n",
        "Trustno1",
    ],
)
def test_what_is_guessed_early_is_weak(text: str) -> None:
    assert is_weak(text)


def test_no_common_password_is_taken() -> None:
    common = [word for word in matching.FREQUENCY_LISTS["passwords"] if len(word) >= 8]
    assert len(common) > 5_000
    assert [word for word in common[::25] if not is_weak(word)] == []


def test_no_password_of_djangos_list_is_taken() -> None:
    # Django's own copy: ours must have what a newer one has.
    packed = Path(CommonPasswordValidator().DEFAULT_PASSWORD_LIST_PATH).read_bytes()
    found = set(gzip.decompress(packed).decode().splitlines())
    assert len(found) > 19_000
    assert found <= set(_list().decode().split("\n"))
    assert [word for word in sorted(found)[::20] if not is_common(word)] == []


@pytest.mark.parametrize(
    "text", ["gearsofwar", "friend of emily", "GearsOfWar", "  Friend Of Emily ", "ｇｅａｒｓｏｆｗａｒ"]
)
def test_a_common_password_is_weak_whatever_zxcvbn_finds_in_it(text: str) -> None:
    found = decide_strength(Secret(text), about=[])
    assert found is not None
    assert found.advice[0] == "It is a common password, or close to one."


@pytest.mark.parametrize(
    "text", ["gearsofwar\ngearsofwar", "123456\npassword", "friend of emily and joan", "", " ", "\n"]
)
def test_a_password_is_compared_with_the_list_as_a_whole(text: str) -> None:
    assert not is_common(text)


@pytest.mark.parametrize(
    "text",
    [
        "ada.lovelace@analytical-engine.example",
        "ADA.LOVELACE@ANALYTICAL-ENGINE.EXAMPLE",
        "ada.lovelace",
        "lovelace1",
        "Lovelace1843",
        "analytical",
        "analytical-engine",
        "Ada King",
        "doorward",
        "Doorward2026",
        "ecalevol1",
    ],
)
def test_what_is_known_of_its_owner_makes_a_password_weak(text: str) -> None:
    found = decide_strength(Secret(text), about=ADA)
    assert found is not None
    assert "Leave out your name, your e-mail address and the name of this service." in found.advice


def test_a_word_is_weak_for_its_owner_and_not_for_another() -> None:
    assert is_weak("Zyxgwen-Pemberley", ["zyxgwen-pemberley@example.com"])
    assert not is_weak("Zyxgwen-Pemberley", ADA)


def test_a_name_of_two_letters_makes_no_long_password_weak() -> None:
    assert not is_weak("xiongmaoxi-liang", ["xi@li.example", "Xi Li"])


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("password", "It is a common password, or close to one."),
        ("passw0rd", "Writing @ for a or 0 for o adds little."),
        ("qazwsxedc,./", "Rows of keys on a keyboard are guessed early."),
        ("aaaaaaaa", "Repeating characters or words adds little."),
        ("abcdefgh", "Sequences such as abc or 6543 are guessed early."),
        ("26.11.1987", "Dates are guessed early."),
        ("photography", "A word or a name alone is guessed early."),
    ],
)
def test_advice_names_what_makes_it_weak_and_never_the_password(text: str, advice: str) -> None:
    found = decide_strength(Secret(text), about=[])
    assert found is not None
    assert advice in found.advice or found.advice[0] == "It is a common password, or close to one."
    assert len(set(found.advice)) == len(found.advice)
    assert found.advice[-1].startswith("Use three or four uncommon words")


def test_judging_refuses_with_the_advice() -> None:
    weak = decide_strength(Secret("password"), about=ADA)
    assert isinstance(weak, Weak)
    with pytest.raises(WeakPassword) as refused:
        judge_strength(Secret("password"), about=ADA, minimum=8)
    assert refused.value.advice == weak.advice
    judge_strength(Secret("correct horse battery staple"), about=ADA, minimum=8)


@pytest.mark.parametrize(("length", "is_taken"), [(14, False), (15, True)])
def test_the_minimum_is_the_deployments(length: int, *, is_taken: bool) -> None:
    text = "gkWq82nz7$kQ!vPz"[:length]
    if is_taken:
        judge_strength(Secret(text), about=[], minimum=15)
        return
    with pytest.raises(WeakPassword) as refused:
        judge_strength(Secret(text), about=[], minimum=15)
    assert refused.value.advice == ("Use at least 15 characters.",)


@pytest.mark.parametrize("text", ["", "gkWq82n"])
def test_judging_refuses_what_is_too_short(text: str) -> None:
    with pytest.raises(WeakPassword):
        judge_strength(Secret(text), about=[], minimum=8)


def test_judging_refuses_what_is_too_long_or_no_text_by_the_name_of_its_field() -> None:
    for text in ("x" * 257, "\ud800" * 8):
        with pytest.raises(ValidationFailed) as refused:
            judge_strength(Secret(text), about=[], minimum=8, field="new_password")
        assert [error.field for error in refused.value.errors] == ["new_password"]


def test_judging_goes_by_the_normalised_password() -> None:
    with pytest.raises(WeakPassword):
        judge_strength(Secret("ｐａｓｓｗｏｒｄ"), about=[], minimum=8)
    with pytest.raises(WeakPassword):
        judge_strength(Secret("ｌｏｖｅｌａｃｅ１"), about=["ｌｏｖｅｌａｃｅ@example.com"], minimum=8)


# Bounded work


def readings(text: str) -> int:
    """How often zxcvbn looks the whole text up."""
    return len(matching.enumerate_l33t_subs(matching.relevant_l33t_subtable(text, matching.L33T_TABLE)))


def test_no_choice_of_symbols_and_digits_makes_zxcvbn_look_a_text_up_more_than_16_times() -> None:
    assert readings(DIGITS + SYMBOLS) > 500  # seconds of work, were it not for the bound
    for count in range(len(SYMBOLS) + 1):
        for chosen in itertools.combinations(SYMBOLS, count):
            for digits in ("", "1", "17", "1469", DIGITS):
                assert readings(_judged(digits + "".join(chosen))) <= 16


def test_our_table_of_lookalikes_is_that_of_zxcvbn() -> None:
    from doorward.authenticators.strength import _LOOKALIKES

    assert sorted(map(sorted, matching.L33T_TABLE.values())) == sorted(map(sorted, _LOOKALIKES))


def test_a_password_of_few_symbols_is_judged_as_it_is() -> None:
    assert _judged("P@$$w0rd1!") == "P@$$w0rd1!"


def test_no_more_than_64_characters_are_judged() -> None:
    assert len(_judged("x" * 256)) == JUDGED


@given(
    st.one_of(
        st.text(min_size=8, max_size=80), st.text(alphabet=SYMBOLS + DIGITS + "aA İß\n", min_size=8, max_size=256)
    )
)
def test_any_text_is_judged_without_an_error(text: str) -> None:
    decide_strength(Secret(text), about=[text, "", "@", text + "@example.com"])


def test_no_two_are_judged_at_once_because_zxcvbn_keeps_the_words_about_the_owner_in_one_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once: list[int] = []
    inside = set[int]()

    def judging(*_: object, **__: object) -> dict[str, Any]:
        inside.add(threading.get_ident())
        time.sleep(0.001)
        at_once.append(len(inside))
        inside.discard(threading.get_ident())
        return {"guesses": 10**9, "sequence": []}

    monkeypatch.setattr(zxcvbn, "zxcvbn", judging)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(is_weak, ["a password"] * 32))
    assert at_once == [1] * 32


def test_importing_the_rules_imports_nothing_slow() -> None:
    code = (
        "import sys, doorward.authenticators.strength, doorward.accounts.rules, doorward.limits;"
        "print(sorted({'zxcvbn', 'argon2', 'email_validator', 'idna'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
