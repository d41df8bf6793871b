from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import DoorwardError, ValidationFailed
from doorward.http.bodies import _form_pairs, read_form, read_json, read_query
from doorward.http.errors import InvalidRequest, MalformedJson, UnsupportedMediaType
from doorward.http.shapes import AccountChangeJson, AccountQuery, KeepQuery, NewAccount, NewSession
from tests.http.world import a_request

SECRET = "hunter2-is-my-password"


def read(body: bytes, kind: type = NewSession, content_type: str = "application/json") -> object:
    return read_json(a_request(method="POST", body=body, headers={"content-type": content_type}), kind)


def test_a_password_is_a_secret_from_the_first() -> None:
    account = read(f'{{"email":"a@example.com","password":"{SECRET}"}}'.encode(), NewAccount)
    assert isinstance(account, NewAccount)
    assert account.password.reveal() == SECRET
    assert SECRET not in repr(account)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"],
)
def test_json_is_taken(content_type: str) -> None:
    read(b'{"email":"a","password":"b"}', content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application/problem+json",
        "application/merge-patch+json",
    ],
)
def test_nothing_else_is(content_type: str) -> None:
    # The first four are what a form of a foreign page can send without a preflight.
    with pytest.raises(UnsupportedMediaType):
        read(b'{"email":"a","password":"b"}', content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"email":"a","password":"b"} more',
        b'{"email":1, oops',
        b'{"email":"\xff","password":"b"}',
        b'{"email":"\\ud800","password":"b"}',
        b'\xef\xbb\xbf{"email":"a","password":"b"}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"[" * 30_000 + b"]" * 30_000,
        '{"email":"a","password":"b"}'.encode("utf-16"),
        b"\x00" * 100,
        b'{"email":NaN}',
        b"{'email':'a'}",
    ],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        read(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "email"),
        (b'{"email":"a"}', "password"),
        (b'{"email":"a","password":"b","nmae":"c"}', "nmae"),
        (b'{"email":1,"password":"b"}', "email"),
        (b'{"email":null,"password":"b"}', "email"),
        (b'{"email":"a","password":5}', "password"),
        (b'{"email":"a","password":["b"]}', "password"),
        (b'{"email":"a","password":null}', "password"),
        (b'{"email":"a","password":"b","carrier":"pigeon"}', "carrier"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
    ],
)
def test_what_does_not_fit_names_its_field(body: bytes, field: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        read(body)
    assert [error.field for error in caught.value.errors] == [field]
    assert all(error.message for error in caught.value.errors)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"email":"a","password":"b","carrier":"{SECRET}"}}',
        f'{{"email":"a","password":["{SECRET}"]}}',
        f'{{"email":{{"x":"{SECRET}"}},"password":"b"}}',
        f'{{"email":"a","password":"{SECRET}","label":7}}',
        f'{{"email":"a","password":"{SECRET}',
        f'{{"email":"a","password":"{SECRET}\\x"}}',
    ],
)
def test_what_was_sent_is_not_in_the_error(body: str) -> None:
    with pytest.raises(DoorwardError) as caught:
        read(body.encode())
    assert SECRET not in repr(caught.value.__dict__)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_number_with_a_fraction_is_no_flag() -> None:
    for body in (
        b'{"disabled":1}',
        b'{"disabled":8.0}',
        b'{"disabled":"true"}',
        b'{"disabled":null}',
        b'{"name":null}',
    ):
        with pytest.raises(ValidationFailed):
            read(body, AccountChangeJson)


@given(st.binary(max_size=300))
def test_no_body_raises_anything_else(body: bytes) -> None:
    with contextlib.suppress(DoorwardError):
        read(body)


# Query strings


def query(text: str, kind: type | None) -> object:
    return read_query(a_request(query=text), kind)


def test_a_query_is_read_and_has_defaults() -> None:
    assert query("", AccountQuery) == AccountQuery(query="", limit=50)
    assert query("query=a%40b&limit=7", AccountQuery) == AccountQuery(query="a@b", limit=7)
    assert query("keep=current", KeepQuery) == KeepQuery(keep="current")
    assert query("", None) is None


@pytest.mark.parametrize(
    ("text", "kind", "field"),
    [
        ("limit=0", AccountQuery, "limit"),
        ("limit=201", AccountQuery, "limit"),
        ("limit=-1", AccountQuery, "limit"),
        ("limit=x", AccountQuery, "limit"),
        ("limit=", AccountQuery, "limit"),
        ("limit=99999999999999999999999999", AccountQuery, "limit"),
        ("limit=1&limit=1", AccountQuery, "limit"),
        ("lmit=1", AccountQuery, "lmit"),
        ("kep=current", KeepQuery, "kep"),
        ("keep=all", KeepQuery, "keep"),
        ("keep=", KeepQuery, "keep"),
        ("keep=null", KeepQuery, "keep"),
        ("x=1", None, "x"),
        ("query=%ff", AccountQuery, "query"),
        ("x", AccountQuery, "query"),
        ("&".join(f"a{n}=1" for n in range(100)), AccountQuery, "query"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(text: str, kind: type | None, field: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        query(text, kind)
    assert [error.field for error in caught.value.errors] == [field]


# Forms


def form(body: bytes, content_type: str = "application/x-www-form-urlencoded") -> object:
    return read_form(a_request(method="POST", body=body, headers={"content-type": content_type}))


@pytest.mark.rfc("6749", "3.2")
def test_parameters_without_a_value_count_as_left_out() -> None:
    assert form(b"a=1&b=&c=%20") == {"a": "1", "c": " "}


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize(
    "body",
    [
        b"a=1&a=1",
        b"a=1&a=2",
        b"a=&a=1",
        b"a",
        b"a=1&&b=2",
        b"a=%ff",
        b"\xff=1",
        b"&".join(b"a%d=1" % n for n in range(100)),
    ],
)
def test_a_parameter_is_never_there_twice_and_a_form_is_a_form(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        form(body)


def pairs_or_none(read: Callable[[], list[tuple[str, str]]]) -> list[tuple[str, str]] | None:
    try:
        return read()
    except ValueError:
        return None


@given(st.text(alphabet="ab=&;%+20ä", max_size=12) | st.integers(60, 70).map(lambda n: "&".join(["a=1"] * n)))
def test_a_form_without_escapes_is_read_as_one_with_them(text: str) -> None:
    expected = partial(parse_qsl, text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=64)
    assert pairs_or_none(partial(_form_pairs, text)) == pairs_or_none(expected)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "text/plain"])
def test_a_form_says_that_it_is_one(content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        form(b"a=1", content_type)
