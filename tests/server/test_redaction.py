"""Nothing that authenticates reaches a log.

The credentials are real, and put into every place that we could think of.
"""

# ruff: noqa: G003, G004 -- text is put together in every way that somebody might

from __future__ import annotations

import io
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.keyring import Keyring
from doorward.secret import Secret
from doorward.server.logs import set_up_logs
from doorward.server.redaction import MASK, MOST_CHARACTERS, Redaction, is_sensitive
from doorward.wire import base64url
from doorward.wire.handle import Handle, write_handle
from doorward.wire.refresh_token import RefreshToken, write_refresh_token

CONFIGURED = "s3cr3t/of+this=deployment~0123456789-abcdefghij"
ADMIN_KEY = "Ad-min_key.ABCDEFGHIJKLMNOP0123456789"
WINDOW = 9

keys = st.integers(0, 2**63 - 1)


@st.composite
def a_handle(draw: st.DrawFn) -> str:
    return write_handle(Handle(key=draw(keys), secret=draw(st.binary(min_size=16, max_size=16)))).reveal()


@st.composite
def a_refresh_token(draw: st.DrawFn) -> str:
    token = RefreshToken(
        key=draw(keys), generation=draw(st.integers(0, 99)), secret=draw(st.binary(min_size=16, max_size=16))
    )
    return write_refresh_token(token, client="app", keyring=Keyring([Secret(CONFIGURED)])).reveal()


@st.composite
def a_jwt(draw: st.DrawFn) -> str:
    header = json.dumps({"alg": "ES256", "kid": draw(st.text(max_size=9)), "typ": "at+jwt"}).encode()
    payload = json.dumps({"iss": "https://auth.example.com", "sub": draw(st.text(max_size=20))}).encode()
    return ".".join(map(base64url.encode, (header, payload, draw(st.binary(min_size=64, max_size=64)))))


@st.composite
def a_password_hash(draw: st.DrawFn) -> str:
    salt, digest = (b64encode(draw(st.binary(min_size=size, max_size=size))).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m=19456,t=2,p=1${salt}${digest}"


credentials = st.one_of(
    a_handle(), a_refresh_token(), a_jwt(), a_password_hash(), st.sampled_from([CONFIGURED, ADMIN_KEY])
)


class Holder:
    """Something foreign whose repr tells everything."""

    def __init__(self, held: str) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"<Holder held={self.held!r}>"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def percent_encoded(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def raise_it(text: str) -> None:
    local = {"the credential": text}
    raise ValueError(f"cannot use {text}") from KeyError(local)


def log_exception(log: logging.Logger, text: str) -> None:
    try:
        raise_it(text)
    except ValueError:
        log.exception("failed")


def log_group(log: logging.Logger, text: str) -> None:
    several = ExceptionGroup("several", [ValueError(text), TypeError(text.encode())])
    log.error("failed with %s", text, exc_info=several)


PLACES: dict[str, Callable[[logging.Logger, str], object]] = {
    "message": lambda log, text: log.info(f"before {text} after"),
    "beginning of a message": lambda log, text: log.info(f"{text}\tand more"),
    "between letters": lambda log, text: log.info(f"é{text}"),
    "argument": lambda log, text: log.info("presented %s by %d", text, 7),
    "repr argument": lambda log, text: log.info("presented %r", [text]),
    "bytes argument": lambda log, text: log.info("presented %s", text.encode()),
    "dictionary argument": lambda log, text: log.info("presented %(it)s", {"it": text}),
    "argument that does not fit": lambda log, text: log.info("no place for it", text),  # noqa: PLE1205 -- meant
    "extra field": lambda log, text: log.info("seen", extra={"field": text}),
    "nested field": lambda log, text: log.info("seen", extra={"field": {"a": [1, (text, {"b": text})], text: {text}}}),
    "bytes field": lambda log, text: log.info("seen", extra={"field": [text.encode(), bytearray(text.encode())]}),
    "object field": lambda log, text: log.info("seen", extra={"field": Holder(text)}),
    "object with a failing repr": lambda log, text: log.info("seen", extra={"field": [Unspeakable(), text]}),
    "deeply nested": lambda log, text: log.info("seen", extra={"field": [[[[[[[[[[[[text]]]]]]]]]]]]}),
    "headers of ASGI": lambda log, text: log.info("seen", extra={"headers": [(b"x-any", text.encode())]}),
    "scope as text": lambda log, text: log.info("%s", {"headers": [(b"authorization", b"Bearer " + text.encode())]}),
    "address": lambda log, text: log.info("GET /v1/x?token=%s&more=1", quote(text, safe="")),
    "percent-encoded": lambda log, text: log.info("GET /v1/x?a=%s", percent_encoded(text)),
    "percent-encoded twice": lambda log, text: log.info("GET /v1/x?a=%s", quote(percent_encoded(text), safe="")),
    "JSON": lambda log, text: log.info("body %s", json.dumps({"value": text})),
    "JSON in JSON": lambda log, text: log.info("body %s", json.dumps(json.dumps({"value": text}))),
    "name of a field": lambda log, text: log.info("seen", extra={"field": {text: 1}}),
    "exception": log_exception,
    "exception group": log_group,
    "a field": lambda _, text: logging.getLogger("doorward").info(f"seen {text}", extra={"deep": {"a": [text]}}),
    "an exception": lambda _, text: logging.getLogger("doorward").error("seen", exc_info=ValueError(text)),
    "uvicorn": lambda _, text: logging.getLogger("uvicorn.error").error("%s", text, extra={"color_message": text}),
    "after much text": lambda log, text: log.info("x" * 20_000 + text),
    "in much text": lambda log, text: log.info("x " * 4_000 + text + " x" * 9_000),
    "in a long exception": lambda log, text: log_exception(log, f"{text} {'x' * 70_000} {text}"),
}


def windows(credential: str) -> Iterator[str]:
    """Every piece of the part that nobody can guess."""
    secret = credential.partition("_")[2] if credential.startswith("dw") else credential
    secret = secret.rpartition("$")[2] if credential.startswith("$") else secret
    secret = secret.partition(".")[2] if credential.startswith("eyJ") else secret
    return (secret[start : start + WINDOW] for start in range(len(secret) - WINDOW + 1))


def logged(log_format: Any, place: Callable[[logging.Logger, str], object], text: str) -> str:
    stream = io.StringIO()
    set_up_logs(log_format, known=[Secret(CONFIGURED), Secret(ADMIN_KEY)], stream=stream)
    place(logging.getLogger("doorward.somewhere"), text)
    return stream.getvalue()


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("place", list(PLACES))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(credential=credentials)
def test_no_credential_is_logged_wherever_it_stands(place: str, log_format: str, credential: str) -> None:
    written = logged(log_format, PLACES[place], credential)
    assert written, "something was logged"
    for spelling in (written, unquote(written), unquote(unquote(written)), written.replace("\\", "")):
        leaked = next((piece for piece in windows(credential) if piece in spelling), None)
        assert leaked is None, f"{leaked} of {credential} in {spelling[:2000]}"
    if log_format == "json":
        for line in written.splitlines():
            json.loads(line)


PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=4, max_size=24).map(
    lambda text: f"Zq9{text}Zq9"
)
NAMED: dict[str, Callable[[logging.Logger, str], object]] = {
    "field": lambda log, text: log.info("seen", extra={"password": text}),
    "nested field": lambda log, text: log.info("seen", extra={"body": {"new_password": [text]}}),
    "bytes in a field": lambda log, text: log.info("seen", extra={"body": {b"client_secret": text.encode()}}),
    "cookie header of ASGI": lambda log, text: log.info("seen", extra={"headers": [(b"cookie", text.encode())]}),
    "list pair": lambda log, text: log.info("seen", extra={"headers": [["Authorization", text]]}),
    "private JWK": lambda log, text: log.info("seen", extra={"key": {"kty": "EC", "d": text}}),
    "repr of a dictionary": lambda log, text: log.info("seen %r", {"password": text, "email": "a@example.com"}),
    "repr of bytes": lambda log, text: log.info("seen %r", {"password": text.encode()}),
    "repr of a pair": lambda log, text: log.info("seen %r", [("x-csrf-token", text), ("set-cookie", text)]),
    "JSON": lambda log, text: log.info("seen %s", json.dumps({"password": text})),
    "JSON in a string": lambda log, text: log.info("seen %s", json.dumps(json.dumps({"password": text}))),
    "form": lambda log, text: log.info("seen grant_type=password&password=%s&x=1", quote(text, safe="")),
    "escaped form": lambda log, text: log.info("seen %s", quote(f"password={quote(text, safe='')}", safe="")),
    "local variable in an exception": lambda log, text: log_exception(log, f"password={quote(text, safe='')}"),
    "user part of an address": lambda log, text: log.info("postgresql://doorward:%s@db/x", quote(text, safe="")),
}


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("place", list(NAMED))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=PASSWORDS)
def test_what_is_called_a_password_or_the_like_is_masked_by_its_name(
    place: str, log_format: str, password: str
) -> None:
    written = logged(log_format, NAMED[place], password)
    assert password not in written
    assert password not in unquote(unquote(written))
    assert "Zq9" not in written
    assert MASK in written


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer opaque",
        "sent with bearer opaque-0123",
        "DPoP opaque-0123 was sent",
        "Cookie: a=opaque; b=opaque",
        "Set-Cookie: __Host-x=opaque; Path=/",
        "x-csrf-token: opaque",
        "{'authorization': 'Basic opaque'}",
        "(b'proxy-authorization', b'opaque')",
        "client_secret=opaque",
        "api_key => opaque",
        "passwords=['opaque', 'opaque']",
        'tokens: {"a": "opaque"}',
        "-----BEGIN EC PRIVATE KEY-----\nopaque\n-----END EC PRIVATE KEY-----",
        "postgresql://doorward:opaque@db/doorward",
        "p%61ssword=opaque",
        "a=1%26refresh_token%3Dopaque",
    ],
)
def test_an_opaque_value_is_masked_by_what_stands_before_it(text: str) -> None:
    assert "opaque" not in Redaction().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "the token has expired",
        "Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
        "session 36rj2wtxxfbssooy of account 6uwgfgmop4xyv2wm has ended",
        "rotated to generation 17 of kid jYsr9wJG1BShoHKe15A01xnf1UhlFqp3rfsKBxJz9ns",
        "100 % of 20 requests in 3.5 s; the key is active",
        "handled /v1/sessions/current?limit=20 for Mozilla/5.0 (X11; Linux x86_64)",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redaction([Secret(CONFIGURED)]).text(text) == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("password", True),
        ("new-password", True),
        ("Authorization", True),
        ("X-API-Key", True),
        ("admin_key", True),
        ("set-cookie", True),
        ("refresh_token", True),
        ("clientSecret", True),
        ("p%61ssword", True),
        ("email", False),
        ("kid", False),
        ("key", False),
        ("status", False),
        ("operation", False),
    ],
)
def test_names_that_mean_a_secret_are_known(name: str, *, expected: bool) -> None:
    assert is_sensitive(name) is expected


@pytest.mark.parametrize("kept", range(WINDOW, 80, 10))
def test_a_token_that_the_end_of_a_long_traceback_cuts_in_two_does_not_show(kept: int) -> None:
    token = "dwr_" + "".join(f"{number:02d}" for number in range(43))
    written = Redaction().lines(token + " " * (MOST_CHARACTERS - kept))
    assert not any(piece in written for piece in windows(token))


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nobody_forges_a_second_entry_or_steers_a_terminal(log_format: str) -> None:
    written = logged(log_format, lambda log, text: log.info(text), 'one\n{"event": "two"}\r\x1b[2Jthree\u2028four')
    assert written.count("\n") == 1
    assert not {"\x1b", "\r", "\u2028"} & set(written)


LEAF = st.text() | st.binary() | st.integers() | st.floats() | st.none()
FLAT = LEAF | st.lists(LEAF) | st.dictionaries(st.text(), LEAF)
NESTED = FLAT | st.lists(FLAT) | st.dictionaries(st.text(), FLAT)


@settings(max_examples=60)
@given(text=st.text(max_size=400), value=NESTED)
def test_whatever_is_logged_is_bounded_and_can_be_written_as_json(text: str, value: Any) -> None:
    redaction = Redaction()
    redaction.text(text)
    json.dumps(redaction.value(value))


@pytest.mark.parametrize(
    "text",
    [
        "%" * 16_000,
        "a" * 16_000,
        "token" * 3_000,
        "cookie:" * 2_000,
        "eyJ" * 5_000,
        "%61" * 5_000,
        "'" * 16_000,
        "password='" * 1_500,
        "$argon2id$" * 1_500,
        "-----BEGIN PRIVATE KEY-----" * 500,
        "Bearer " * 2_000,
        "://a:b" * 2_500,
        "[" * 16_000,
    ],
)
def test_long_hostile_text_is_masked_in_steps_that_grow_with_its_length(text: str) -> None:
    # Were one of the patterns to look back and forth over the whole text, this would take minutes.
    Redaction([Secret(CONFIGURED)]).line(text)


def test_what_is_harmless_is_kept_and_what_is_masked_is_masked_every_time() -> None:
    redaction = Redaction([Secret(CONFIGURED)])
    handle = write_handle(Handle(key=1, secret=b"x" * 16)).reveal()
    for _ in range(3):
        assert redaction.line("sign_in") == "sign_in"
        assert redaction.line(CONFIGURED[:40]) == CONFIGURED[:40]
        assert MASK in redaction.line(f"a {handle}")
        assert redaction.line(CONFIGURED) == MASK
        assert redaction.line("two\nlines") == "two\\nlines"
    assert redaction._harmless == {"sign_in", CONFIGURED[:40]}


def test_however_much_is_written_what_is_kept_is_bounded() -> None:
    redaction = Redaction()
    for number in range(2_000):
        redaction.line(str(number))
        redaction.line("x" * 1_000 + str(number))
    assert len(redaction._harmless) == 500
    assert max(map(len, redaction._harmless)) < 10
