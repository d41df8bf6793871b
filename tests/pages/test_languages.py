"""Every text in every language, and the language that a visitor is answered in."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.resources import files
from string import Formatter

import pytest

from doorward.authenticators import strength
from doorward.errors import DoorwardError, WeakPassword
from doorward.pages import mistakes
from doorward.pages.appearance import Appearance
from doorward.pages.languages import FALLBACK, choose_language, read_language
from doorward.sessions.model import EndReason
from tests.http.world import PASSWORD
from tests.pages.visitor import EMAIL, Visitor, a_visited_world

FOLDER = files("doorward.pages")
LANGUAGES = {
    file.name.removesuffix(".toml"): read_language(file.name.removesuffix(".toml"), file.read_text())
    for file in (FOLDER / "languages").iterdir()
}
OTHERS = sorted(set(LANGUAGES) - {FALLBACK})
SOURCE = "".join(
    file.read_text() for folder in (FOLDER, FOLDER / "templates") for file in folder.iterdir() if file.is_file()
)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", OTHERS)
def test_each_language_says_the_same(code: str) -> None:
    english, other = LANGUAGES[FALLBACK].texts, LANGUAGES[code].texts
    assert {key: placeholders(text) for key, text in english.items()} == {
        key: placeholders(text) for key, text in other.items()
    }
    same = {key for key, text in english.items() if other[key] == text}
    assert same <= {"field_name", "language_name"}


@pytest.mark.parametrize("code", OTHERS)
def test_each_language_has_what_the_operations_say(code: str) -> None:
    advice = {
        strength._ALWAYS,
        strength._ANY_WORD,
        strength._LOOKALIKE,
        *strength._BY_PATTERN.values(),
        *strength._BY_DICTIONARY.values(),
    }
    fields = {
        WeakPassword.public,
        "Use at least {} characters.",
        "Use at most 256 characters.",
        "It has characters that are no text.",
        "This is not an e-mail address.",
        "Use at most 100 characters.",
        "Use characters of one line of text, without control characters.",
    }
    assert set(LANGUAGES[code].sentences) == advice | fields


def _all_errors(root: type[DoorwardError] = DoorwardError) -> list[type[DoorwardError]]:
    return [root, *(each for kind in root.__subclasses__() for each in _all_errors(kind))]


def test_no_text_is_said_nowhere() -> None:
    codes = {f"error_{kind.code}" for kind in _all_errors()} | {"error_429", "error_503"}
    codes |= {f"notice_over_{reason}" for reason in EndReason}
    for key in LANGUAGES[FALLBACK].texts:
        # Those for one and for several are asked for by what they have in common, as are those for fields and units.
        names = {key, re.sub(r"_(one|other)$|_ago_(one|other)$", "", key), re.sub(r"^(field|notice)_", "", key)}
        names |= {key.removeprefix("missing_")} if key.startswith("missing_") else set()
        assert key in codes or any(f'"{name}"' in SOURCE for name in names), key


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_can_be_said(kind: type[DoorwardError]) -> None:
    error = kind.__new__(kind)
    DoorwardError.__init__(error)
    for name, value in {"errors": (), "advice": (), "retry_after": timedelta(seconds=1)}.items():
        setattr(error, name, value)
    for language in LANGUAGES.values():
        said = mistakes.mistakes_of(error, language, judged="password")
        assert said.general or said.fields or kind.code == "validation_failed"


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        (None, None, "en"),
        (None, "", "en"),
        (None, "de", "de"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "en-GB,en;q=0.9,de;q=0.8", "en"),
        (None, "fr, de;q=0.7, en;q=0.9", "en"),
        (None, "fr, de;q=0.7", "de"),
        (None, "DE", "de"),
        (None, "de;q=0", "en"),
        (None, "de;q=0, en;q=0", "en"),
        (None, "*", "en"),
        (None, "de;q=2, de;q=x, ;;, \x00", "en"),
        (None, "," * 10_000 + "de", "en"),
        ("de", "en", "de"),
        ("fr", "de", "de"),
        ("DE", "en", "en"),
        ("../de", "en", "en"),
    ],
)
@pytest.mark.rfc("9110", "12.5.4")
def test_the_address_asks_first_and_the_browser_then(asked: str | None, accepted: str | None, chosen: str) -> None:
    assert choose_language(asked, accepted, LANGUAGES).code == chosen


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
    ],
)
def test_how_long_ago_something_was(passed: timedelta, said: str) -> None:
    assert LANGUAGES["en"].ago(passed) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (61, "2 minutes")]
)
def test_nobody_is_told_to_wait_shorter_than_it_takes(seconds: int, said: str) -> None:
    assert LANGUAGES["en"].wait(seconds) == said


def test_what_is_not_translated_is_said_in_english() -> None:
    language = read_language("xx", 'a = "A {name}"\nb = "B"', 'b = "Beta"')
    assert (language("a", name="x"), language("b")) == ("A x", "Beta")
    assert language.sentence("Dates are guessed early.") == "Dates are guessed early."


@pytest.mark.parametrize("number", [8, 15])
def test_a_sentence_with_a_number_is_in_the_catalogue_once(number: int) -> None:
    german = LANGUAGES["de"]
    assert german.sentence(f"Use at least {number} characters.") == f"Nehmen Sie mindestens {number} Zeichen."
    assert german.sentence(f"Use at least {number} fish.") == f"Use at least {number} fish."


def test_ours_are_all_there() -> None:
    assert set(Appearance().languages) == {"de", "en"}


@pytest.mark.anyio
async def test_a_language_that_was_asked_for_goes_along_through_a_flow() -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.open("/change-password?lang=de")
        assert page.address == "/sign-in?lang=de&return_to=change-password"
        assert "Anmelden" in page.text
        assert "sign-up?lang=de&return_to=change-password" in page.links
        page = await visitor.submit(page, "sign-in", email=EMAIL, password="wrong")
        assert "Die E-Mail-Adresse oder das Passwort stimmt nicht." in page.text
        page = await visitor.submit(page, "sign-in", email=EMAIL, password=PASSWORD)
        assert page.address == "/change-password?lang=de"
        page = await visitor.submit(page, "change-password", current_password=PASSWORD, new_password="passwort")
        assert "Dieses Passwort ist zu leicht zu erraten." in page.text
        assert "Es ist ein häufiges Passwort oder einem ähnlich." in page.text
        assert "Use three" not in page.text


@pytest.mark.anyio
async def test_a_switch_leads_to_the_same_page_in_the_other_language() -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in?return_to=/app&notice=signed_out")
        assert "sign-in?notice=signed_out&return_to=%2Fapp&lang=de" in page.links
