"""Whose word on the client's address ``doorward serve`` takes."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.server.forwarded import ForwardedMiddleware, client_of, parse_proxies
from tests.server.test_settings import loaded, refused


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ("10.0.0.7", "10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.9.9.9", ["203.0.113.9:4711"], "203.0.113.9:4711"),
        ("10.0.0.0/8", "::ffff:10.9.9.9", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::/32", "2001:db8::7", ["[2001:db9::1]:443"], "[2001:db9::1]:443"),
        # Only what the proxy itself has added is believed.
        ("10.0.0.7", "10.0.0.7", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        ("*", "198.51.100.7", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        ("*", None, ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        # Proxies in a row, with ports as some write them.
        ("10.0.0.0/8", "10.0.0.7", ["1.2.3.4", "203.0.113.9", "10.0.0.8:555"], "203.0.113.9"),
        ("*,10.0.0.0/8", "198.51.100.7", ["1.2.3.4", "203.0.113.9", "10.0.0.8"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", ["10.0.0.8"], "10.0.0.8"),
        ("10.0.0.7", "10.0.0.8", ["203.0.113.9"], "10.0.0.8"),
        ("10.0.0.7", None, ["203.0.113.9"], None),
        ("10.0.0.7", "10.0.0.7", [], "10.0.0.7"),
    ],
)
def test_the_client_is_who_connected_to_the_outermost_trusted_proxy(
    trusted: str, peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert client_of(peer, forwarded, parse_proxies(trusted.split(","))) == client


@pytest.mark.parametrize("value", ["10.0.0.0/33", "nginx", "0.0.0.0/0", "::/0", "10.0.0.7:80"])
def test_a_proxy_that_could_never_be_recognised_is_refused_at_start(value: str) -> None:
    [problem] = refused(DOORWARD_FORWARDED_ALLOW_IPS=value)
    assert problem.id == "DW061"
    assert "172.16.0.0/12" in problem.remedy


def test_proxies_are_listed_with_commas() -> None:
    assert loaded(DOORWARD_FORWARDED_ALLOW_IPS="10.0.0.7, 172.16.0.0/12").forwarded_allow_ips == (
        "10.0.0.7",
        "172.16.0.0/12",
    )


async def seen_by_the_application(peer: str, *headers: tuple[bytes, bytes]) -> tuple[Any, str]:
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}
    await ForwardedMiddleware(app, parse_proxies(["10.0.0.7"]))(scope, None, None)  # type: ignore[arg-type]
    return seen["client"][0], seen["scheme"]


@pytest.mark.anyio
async def test_the_headers_of_a_trusted_proxy_are_taken_and_those_of_nobody_else() -> None:
    sent = (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-for", b",203.0.113.9"), (b"x-forwarded-proto", b"https")
    assert await seen_by_the_application("10.0.0.7", *sent) == ("203.0.113.9", "https")
    assert await seen_by_the_application("198.51.100.1", *sent) == ("198.51.100.1", "http")
    assert await seen_by_the_application("10.0.0.7", (b"x-forwarded-for", b" , ")) == ("10.0.0.7", "http")
    twice = (b"x-forwarded-proto", b"https, http")
    assert await seen_by_the_application("10.0.0.7", twice) == ("10.0.0.7", "http")
