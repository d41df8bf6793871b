"""What Memcached may answer, and which addresses name it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError
from doorward.stores.memcached_connection import (
    MOST_BYTES,
    Doubt,
    Place,
    read_place,
    read_stored,
    read_version,
)
from doorward.stores.memcached_servers import Address, parse_memcached

# Addresses


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("memcached://cache", [("cache", 11211)]),
        ("memcached://cache:1/", [("cache", 1)]),
        ("memcached://10.0.0.5:11211,10.0.0.6", [("10.0.0.5", 11211), ("10.0.0.6", 11211)]),
        ("memcached://[::1]:65535", [("::1", 65535)]),
    ],
)
def test_an_address_names_servers(url: str, addresses: list[tuple[str, int]]) -> None:
    assert parse_memcached(url) == tuple(Address(host=host, port=port) for host, port in addresses)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:11211",
        "redis://cache",
        "memcached://",
        "memcached://a,",
        "memcached://a,a:11211",
        "memcached://a:0",
        "memcached://a:65536",
        "memcached://a:x",
        "memcached://a b",
        "memcached://[::1",
        "memcached://user:hunter2@a",
        "memcached://a/path",
        "memcached://a?x=hunter2",
        "memcached://a#b",
        "memcached://" + ",".join(f"a{number}" for number in range(101)),
    ],
)
def test_an_address_that_cannot_be_heeded_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_memcached(url)
    assert [problem.id for problem in refused.value.problems] == ["DW057"]
    assert "hunter2" not in str(refused.value)


# Answers

ANSWERS = [
    (b"END\r\n", Place()),
    (b"VALUE name 0 3 17\r\nabc\r\nEND\r\n", Place(value=b"abc", unique=b"17")),
    (b"VALUE name 0 0 1\r\n\r\nEND\r\n", Place(value=b"", unique=b"1")),
    (b"VALUE name 0 7 1\r\nEND\r\nab\r\nEND\r\n", Place(value=b"END\r\nab", unique=b"1")),
]

DOUBTFUL = [
    b"\r\n",
    b"STORED\r\n",
    b"ERROR\r\n",
    b"SERVER_ERROR out of memory\r\n",
    b"VALUE other 0 3 17\r\nabc\r\nEND\r\n",
    b"VALUE name 0 3\r\nabc\r\nEND\r\n",
    b"VALUE name 0 x 17\r\nabc\r\nEND\r\n",
    b"VALUE name 0 -1 17\r\nabc\r\nEND\r\n",
    b"VALUE name 0 3 1\rx\r\n",
    b"VALUE name 0 3 17\r\nabcd\r\nEND\r\n",
    b"VALUE name 0 3 17\r\nabc\r\nVALUE name 0 1 1\r\n",
    b"VALUE name 0 %d 17\r\n" % (MOST_BYTES + 1),
    b"VALUE name 0 %s 17\r\n" % (b"9" * 400),
    b"x" * 513,
]


@pytest.mark.parametrize(("answer", "place"), ANSWERS)
def test_an_answer_is_read_once_it_is_whole(answer: bytes, place: Place) -> None:
    for cut in range(len(answer)):
        assert read_place(bytearray(b"before" + answer[:cut]), 6, name=b"name") is None
    assert read_place(bytearray(b"before" + answer + b"after"), 6, name=b"name") == (place, 6 + len(answer))


@pytest.mark.parametrize("answer", DOUBTFUL)
def test_what_is_no_answer_to_the_question_is_doubted(answer: bytes) -> None:
    with pytest.raises(Doubt):
        read_place(bytearray(answer), 0, name=b"name")


@pytest.mark.parametrize(
    ("answer", "took"),
    [
        (b"STORED", True),
        (b"NOT_STORED", False),
        (b"EXISTS", False),
        (b"NOT_FOUND", False),
        (b"SERVER_ERROR out of memory storing object", False),
    ],
)
def test_whether_something_was_stored(answer: bytes, *, took: bool) -> None:
    assert read_stored(bytearray(answer), 0) is None
    assert read_stored(bytearray(answer + b"\r\n"), 0) == (took, len(answer) + 2)


@pytest.mark.parametrize("answer", [b"ERROR\r\n", b"CLIENT_ERROR bad data chunk\r\n", b"END\r\n", b"STORED \r\n"])
def test_what_does_not_say_whether_it_was_stored_is_doubted(answer: bytes) -> None:
    with pytest.raises(Doubt):
        read_stored(bytearray(answer), 0)


@given(st.binary(max_size=64).map(lambda tail: b"VALUE name 0 " + tail) | st.binary(max_size=64))
def test_no_bytes_lead_to_anything_else(answer: bytes) -> None:
    for read in (lambda: read_place(bytearray(answer), 0, name=b"name"), lambda: read_version(bytearray(answer), 0)):
        with suppress(Doubt):
            read()
