from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.addresses import network_of, parse_address
from doorward.audit.model import UNKNOWN_NETWORK, Origin
from doorward.rotation.flow import is_elsewhere


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:c000:201]:4711", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
    ],
)
def test_whatever_stands_around_an_address_is_removed(text: str, address: str) -> None:
    assert Origin(ip=text).ip == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "unix:",
        "example.com",
        "192.0.2.1:",
        "192.0.2.1:123456",
        "192.0.2.1:\uff18\uff10",
        "192.0.2.001",
        "192.0.2",
        "192.0.2.1, 198.51.100.7",
        "[192.0.2.1",
        "192.0.2.1]",
        "[2001:db8::1]x",
        "2001:db8::1%",
        "\x00",
        "\ud800",
        "1" * 101,
    ],
)
def test_what_is_no_address_is_stored_as_none_and_counted_in_one_bucket(text: str) -> None:
    origin = Origin(ip=text)
    assert (origin.ip, origin.network) == (None, UNKNOWN_NETWORK)


def test_the_command_line_has_no_address_and_is_not_counted() -> None:
    assert Origin().network is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[2001:db8:0:1::1]:4711", "2001:db8:0:1::/64"),
    ],
)
def test_ipv6_is_limited_by_the_64_that_a_subscriber_has(address: str, network: str) -> None:
    assert Origin(ip=address).network == network


def test_another_port_is_no_other_place() -> None:
    assert not is_elsewhere(Origin(ip="192.0.2.1:80"), Origin(ip="192.0.2.1:4711"))
    assert Origin(ip="192.0.2.1:80") == Origin(ip="192.0.2.1")


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_an_address_with_a_port_is_the_address(address: object, port: int) -> None:
    bare = parse_address(str(address))
    assert bare is not None
    assert parse_address(f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}") == bare


@given(st.text())
def test_no_text_is_more_than_an_address_or_nothing(text: str) -> None:
    address = parse_address(text)
    assert address is None or parse_address(str(address)) == address
    assert address is None or network_of(address)
