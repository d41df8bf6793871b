"""What an e-mail address, a name, a label and roles may be."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.accounts.rules import Email, parse_email, parse_label, parse_name, parse_roles
from doorward.errors import ValidationFailed

# E-mail


@pytest.mark.parametrize(
    ("text", "address", "key"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        ("Ada.Lovelace@EXAMPLE.com", "Ada.Lovelace@example.com", "ada.lovelace@example.com"),
        ("ada+tag@example.com", "ada+tag@example.com", "ada+tag@example.com"),
        ("jörg@example.com", "jörg@example.com", "jörg@example.com"),
        ("ada@bücher.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@example.test", "ada@example.test", "ada@example.test"),
        ("ada@localhost", "ada@localhost", "ada@localhost"),
        ("ada@Corp.Local", "ada@corp.local", "ada@corp.local"),
        ("jörg@corp.local", "jörg@corp.local", "jörg@corp.local"),
    ],
)
def test_an_address_is_normalised_and_keyed(text: str, address: str, key: str) -> None:
    assert parse_email(text) == Email(address=address, key=key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.com", "ADA@example.com"),
        ("kelvin@example.com", "\u212aelvin@example.com"),  # the Kelvin sign
        ("strasse@example.com", "straße@example.com"),
        ("strasse@example.com", "STRAẞE@example.com"),
        ("ada@example.com", "ａｄａ@example.com"),  # full-width
        ("sam@example.com", "ſam@example.com"),  # the long s
        ("office@example.com", "oﬃce@example.com"),  # a ligature
        ("jörg@example.com", "jo\u0308rg@example.com"),  # decomposed
        ("mhz@example.com", "㎒@example.com"),  # has capitals only once it is taken apart
        ("ΣΊΣΥΦΟΣ@example.com", "σίσυφος@example.com"),  # a final sigma
        ("ada@example.com", "ada@ｅｘａｍｐｌｅ.com"),
        ("ada@example.com", "ada@example。com"),  # an ideographic full stop
        ("ada@kelvin.example", "ada@\u212aelvin.example"),
        ("ada@example.com", " ada@example.com"),
        ("ada@example.com", "ada@example.com \r\n"),
        ("ada@example.com", "\u00a0ada@example.com\t\u3000"),
    ],
)
def test_two_spellings_of_one_address_have_one_key(one: str, other: str) -> None:
    assert parse_email(one).key == parse_email(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("iris@example.com", "ırıs@example.com"),  # without dots
        ("iris@example.com", "İRİS@example.com"),  # with dots above capitals
        ("ada@example.com", "аda@example.com"),  # a Cyrillic a
        ("ada@example.com", "a.da@example.com"),
        ("ada@example.com", "ada+1@example.com"),
        ("ada@example.com", "ada@example.org"),
        ("ada@strasse.example", "ada@straße.example"),  # two domains since IDNA 2008
    ],
)
def test_two_addresses_have_two_keys(one: str, other: str) -> None:
    assert parse_email(one).key != parse_email(other).key


def an_address_of(length: int) -> str:
    labels = [*(["a" * 60] * 3), "com"]
    filled = ".".join(labels)
    local = "a" * 50
    return f"{local}@{'b' * (length - len(local) - len(filled) - 2)}.{filled}"


@pytest.mark.rfc("5321", "4.5.3.1.3")
@pytest.mark.parametrize(("length", "is_taken"), [(253, True), (254, True), (255, False)])
def test_an_address_has_at_most_254_characters(length: int, *, is_taken: bool) -> None:
    text = an_address_of(length)
    assert len(text) == length
    if is_taken:
        assert len(parse_email(text).key) == length
    else:
        with pytest.raises(ValidationFailed):
            parse_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@intranet",
        "ada@@example.com",
        "ada@example..com",
        ".ada@example.com",
        "a da@example.com",
        "ada @example.com",
        "ada@ example.com",
        "ada@example.com\x00",
        "ada@exam\x00ple.com",
        "ada\u202e@example.com",
        "ada\ud800@example.com",
        "Ada <ada@example.com>",
        '"ada"@example.com',
        "ada@[127.0.0.1]",
        "ada@example.com,eve@example.com",
        "ada＠eve@example.com",  # a full-width @ would become one
        "ada＠example.com",
        "ada@.local",
        "ada@local.",
        "ada@-.local",
        "<ada@corp.local",
        "a" * 1_000_000,
        "\ufdfa" * 60 + "@example.com",  # 18 characters each, once folded
        "ada@xn--0.example",
    ],
)
def test_what_is_no_address_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_email(text)
    assert [error.field for error in refused.value.errors] == ["email"]
    assert not text or text not in str(refused.value)


def test_what_is_far_too_long_is_refused_before_anything_is_done_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the work would grow with the text")

    for parse in (parse_email, parse_name, parse_label):
        with monkeypatch.context() as patched:
            patched.setattr("email_validator.validate_email", refuse)
            patched.setattr(unicodedata, "normalize", refuse)
            with pytest.raises(ValidationFailed):
                parse("x" * 401)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"\A[^@]{1,20}@[^@]{1,30}\Z"), st.emails()))
def test_any_text_is_an_address_or_refused_and_parsing_is_stable(text: str) -> None:
    try:
        parsed = parse_email(text)
    except ValidationFailed:
        return
    assert parse_email(parsed.address) == parsed
    assert parse_email(parsed.key).key == parsed.key
    assert len(parsed.key) <= 254


@given(st.emails())
def test_case_makes_no_second_address(text: str) -> None:
    try:
        parsed = parse_email(text)
    except ValidationFailed:
        return
    assert parse_email(text.upper()).key == parsed.key == parse_email(text.lower()).key


# Names and labels

LINES = pytest.mark.parametrize("parse", [parse_name, parse_label])
Parse = Callable[[str | None], str | None]


@LINES
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, None),
        ("", None),
        (" \t ", None),
        ("  Ada ", "Ada"),
        ("Ada's phone", "Ada's phone"),
        ("Zoe\u0308", "Zoë"),
        ("\N{FAMILY}\u200d\N{BOY}", "\N{FAMILY}\u200d\N{BOY}"),  # joiners are part of words and of pictures
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x" * 100, "x" * 100),
        (" " + "x" * 100 + " ", "x" * 100),
        ("e\u0301" * 100, "é" * 100),
    ],
)
def test_a_line_is_trimmed_and_composed(parse: Parse, text: str | None, line: str | None) -> None:
    assert parse(text) == line


@LINES
@pytest.mark.parametrize(
    "text",
    [
        "x" * 101,
        "x" * 100_000,
        "\U0001d15e" * 51,
        "a\nb",
        "a\x00b",
        "a\x1b[2J",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "a\ud800b",
    ],
)
def test_what_is_no_line_of_text_is_refused(parse: Parse, text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse(text)
    assert [error.field for error in refused.value.errors] == ["name" if parse is parse_name else "label"]


@given(st.text(max_size=150))
def test_a_parsed_line_stays_as_it_is(text: str) -> None:
    try:
        line = parse_name(text)
    except ValidationFailed:
        return
    assert parse_name(line) == line
    assert line is None or 1 <= len(line) <= 100
    assert line is None or line == unicodedata.normalize("NFC", line)


# Roles


def test_roles_are_sorted_and_each_is_there_once() -> None:
    assert parse_roles(["editor", "admin", "editor", "billing:read"]) == ("admin", "billing:read", "editor")
    assert parse_roles([]) == ()
    assert parse_roles(f"r{number}" for number in range(32)) == tuple(sorted(f"r{number}" for number in range(32)))


@pytest.mark.parametrize("role", ["a", "a0:_-", "a" * 64])
def test_a_role_is_a_lowercase_identifier(role: str) -> None:
    assert parse_roles([role]) == (role,)


@pytest.mark.parametrize("role", ["", "*", "A", "0a", "-a", "a b", "a\n", "é", "a,b", "a" * 65, "admin\x00", "ａ"])
def test_any_other_role_is_refused(role: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_roles(["fine", role])
    assert [error.field for error in refused.value.errors] == ["roles"]


def test_there_are_at_most_32_roles() -> None:
    with pytest.raises(ValidationFailed):
        parse_roles([f"r{number}" for number in range(33)])
