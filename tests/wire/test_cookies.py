from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.secret import Secret
from doorward.wire.cookies import (
    LONGEST_COOKIE_HEADER,
    REFRESH_COOKIE,
    SESSION_COOKIE,
    CookieKind,
    read_cookies,
    write_cookie,
    write_deletion,
)

HANDLE = Secret("dws_" + "x" * 32)


def texts(
    header: str | None, kind: CookieKind = SESSION_COOKIE, *, prefix: str = "doorward", https: bool = False
) -> list[str]:
    return [secret.reveal() for secret in read_cookies(header, kind, prefix=prefix, https=https)]


@pytest.mark.rfc("6265bis", "4.1.3.2")
def test_on_https_the_cookie_is_bound_to_the_host() -> None:
    line = write_cookie(
        SESSION_COOKIE, HANDLE, prefix="doorward", lives_for=timedelta(hours=1), https=True, secure=True
    )
    assert line == (f"__Host-doorward_session={HANDLE.reveal()}; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax")


def test_on_plain_http_it_is_secure_without_the_prefix() -> None:
    line = write_cookie(
        REFRESH_COOKIE, HANDLE, prefix="doorward", lives_for=timedelta(hours=1), https=False, secure=True
    )
    assert line == f"doorward_refresh={HANDLE.reveal()}; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"


def test_secure_is_left_off_on_plain_http_alone() -> None:
    plain = write_cookie(SESSION_COOKIE, HANDLE, prefix="doorward", lives_for=timedelta(1), https=False, secure=False)
    assert "Secure" not in plain
    assert "HttpOnly" in plain
    assert "Secure" in write_cookie(
        SESSION_COOKIE, HANDLE, prefix="doorward", lives_for=timedelta(1), https=True, secure=False
    )


@pytest.mark.parametrize("https", [True, False])
@pytest.mark.parametrize("kind", [SESSION_COOKIE, REFRESH_COOKIE])
def test_a_cookie_is_deleted_by_the_attributes_that_it_was_set_by(kind: CookieKind, *, https: bool) -> None:
    made = write_cookie(kind, HANDLE, prefix="doorward", lives_for=timedelta(seconds=9), https=https, secure=True)
    gone = write_deletion(kind, prefix="doorward", https=https, secure=True)
    assert gone == made.replace(HANDLE.reveal(), "").replace("Max-Age=9", "Max-Age=0")


def test_the_session_cookie_is_below_100_bytes() -> None:
    assert len(f"{SESSION_COOKIE.name_on(prefix='doorward', https=True)}={HANDLE.reveal()}") < 100


def test_a_life_that_is_over_is_not_negative() -> None:
    line = write_cookie(
        SESSION_COOKIE, HANDLE, prefix="doorward", lives_for=timedelta(seconds=-5), https=True, secure=True
    )
    assert "Max-Age=0;" in line


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, []),
        ("", []),
        ("doorward_session=a", ["a"]),
        ("x=1; doorward_session=a; y=2", ["a"]),
        ("x=1;doorward_session=a", ["a"]),
        ("doorward_session=a=b", ["a=b"]),
        ("doorward_session=", [""]),
        ("doorward_session", []),
        ("xdoorward_session=a", []),
        ("doorward_sessionx=a", []),
        ("Doorward_Session=a", []),
        ("doorward_session =a", []),
        ('x="doorward_session=a"', []),
        ("doorward_refresh=a", []),
        ("__Host-doorward_session=a", []),
    ],
)
def test_the_name_is_compared_exactly(header: str | None, found: list[str]) -> None:
    assert texts(header) == found


def test_on_https_the_unprotected_name_is_not_read() -> None:
    # Whoever controls a sibling domain, or the network on plain HTTP, can plant that one.
    assert texts("doorward_session=planted; __Host-doorward_session=ours", https=True) == ["ours"]
    assert texts("__host-doorward_session=planted", https=True) == []
    assert texts("__host-doorward_session=planted; __Host-doorward_session=ours", https=True) == ["ours"]


def test_several_values_of_one_name_are_all_told() -> None:
    assert texts("doorward_session=a; doorward_session=b") == ["a", "b"]
    assert texts("doorward_session=a; doorward_session=a") == ["a"]


def test_a_header_without_bound_is_not_parsed() -> None:
    pair = "doorward_session=a; "
    assert texts(pair + "x" * (LONGEST_COOKIE_HEADER - len(pair))) == ["a"]
    assert texts(pair + "x" * LONGEST_COOKIE_HEADER) == []


@given(st.text(max_size=200))
def test_reading_never_raises(header: str) -> None:
    assert isinstance(
        read_cookies(header + "; doorward_session=" + header, SESSION_COOKIE, prefix="doorward", https=False), list
    )
