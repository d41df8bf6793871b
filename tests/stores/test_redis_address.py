"""What an address of Redis says, what it must not say, and that nothing of it but its hosts is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.errors import ConfigurationError
from doorward.stores import open_store, place_of_sessions, secrets_of_redis
from doorward.stores.redis.address import Node, RedisAddress, parse_redis

ONE = (Node(host="a", port=6379),)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://a", {"nodes": ONE}),
        ("redis://a/", {"nodes": ONE}),
        ("redis://a:7000/3", {"nodes": (Node(host="a", port=7000),), "database": 3}),
        ("redis://[::1]:7000", {"nodes": (Node(host="::1", port=7000),)}),
        ("redis://ada@a", {"nodes": ONE, "user": "ada"}),
        ("rediss://a?pool_size=3", {"nodes": ONE, "tls": True, "pool_size": 3}),
        ("rediss://a/0?ca_file=/x/ca.pem", {"nodes": ONE, "tls": True, "files": {"ca_file": "/x/ca.pem"}}),
        ("redis://a?cluster=true", {"nodes": ONE, "cluster": True}),
        ("redis://a:1,b:2", {"nodes": (Node(host="a", port=1), Node(host="b", port=2)), "cluster": True}),
        (
            "redis+sentinel://a,b:2/sessions",
            {"nodes": (Node(host="a", port=26_379), Node(host="b", port=2)), "service": "sessions"},
        ),
        ("rediss+sentinel://a/s", {"nodes": (Node(host="a", port=26_379),), "service": "s", "tls": True}),
    ],
)
def test_an_address_is_understood(url: str, expected: dict[str, Any]) -> None:
    assert parse_redis(url) == RedisAddress(**expected)


def test_a_password_is_unescaped_and_not_shown() -> None:
    address = parse_redis("redis+sentinel://a%40b:p%40ss%3Aword@h/s?sentinel_password=second%26one")
    assert address.user == "a@b"
    assert address.password is not None
    assert address.sentinel_password is not None
    assert (address.password.reveal(), address.sentinel_password.reveal()) == ("p@ss:word", "second&one")
    shown = f"{address} {address!r} {place_of_sessions('redis://ada:hunter2@h')}"
    assert "ss:word" not in shown
    assert "second" not in shown
    assert "hunter2" not in shown
    assert [each.reveal() for each in secrets_of_redis("redis://:hunter2@h")] == ["hunter2"]
    assert secrets_of_redis("nothing") == ()


@pytest.mark.parametrize(
    "url",
    [
        "", "hunter2", "http://hunter2@a", "redis:a", "redis://", "redis://a,", "redis://a,a", "redis://a:0",
        "redis://a:x", "redis://a:99999", "redis://a b", "redis://a/x", "redis://a/-1", "redis://a/²",
        "redis://a/9999999", "redis://a?hunter2=1", "redis://a?cluster=yes", "redis://a?pool_size=0",
        "redis://a?pool_size=1001", "redis://a?ca_file=x", "redis://a,b/1", "redis+sentinel://a",
        "redis+sentinel://a/", "redis+sentinel://a/s?cluster=true", "redis://a?sentinel_password=hunter2",
        "redis://" + ",".join(f"a{number}" for number in range(101)), "redis://a?x", "unix:///run/redis.sock",
    ],
)  # fmt: skip
def test_what_cannot_be_heeded_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_redis(url)
    (problem,) = refused.value.problems
    assert problem.id == "DW055"
    if "?hunter2" not in url:
        assert "hunter2" not in f"{problem}"


@pytest.mark.parametrize(
    ("database", "others"),
    [("memory:", {}), ("sqlite:///x.db", {"memcached_url": "memcached://a"})],
)
def test_what_does_not_go_together_with_redis_is_refused(database: str, others: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DW056"):
        open_store(database, redis_url="redis://a", **others)  # type: ignore[arg-type]
