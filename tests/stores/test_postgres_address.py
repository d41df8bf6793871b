from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.secret import Secret
from doorward.stores import place_of
from doorward.stores.sql.postgres_address import POOL_SIZE, PostgresAddress, parse_postgres


@pytest.mark.parametrize(
    ("text", "hosts", "ports", "database"),
    [
        ("postgresql://db.example/app", ("db.example",), (5432,), "app"),
        ("postgres://me@db.example:6000/app", ("db.example",), (6000,), "app"),
        ("postgresql://[::1]:6000/app", ("::1",), (6000,), "app"),
        ("postgresql://a:1,b:2/app", ("a", "b"), (1, 2), "app"),
        ("postgresql://a,b/app", ("a", "b"), (5432, 5432), "app"),
        ("postgresql://:6000/app", ("localhost",), (6000,), "app"),
        ("postgresql:///app?host=/run/postgresql&port=6000", ("/run/postgresql",), (6000,), "app"),
        ("postgresql://%2Frun%2Fpostgresql/app", ("/run/postgresql",), (5432,), "app"),
        ("postgresql://a/app?dbname=other", ("a",), (5432,), "other"),
        ("postgresql://", (), (), None),
    ],
)
def test_an_address_says_where_the_database_is(
    text: str, hosts: tuple[str, ...], ports: tuple[int, ...], database: str | None
) -> None:
    address = parse_postgres(text)
    assert (address.hosts, address.ports, address.database) == (hosts, ports, database)


def test_an_address_says_who_asks_and_how() -> None:
    address = parse_postgres("postgresql://m%40e:p%2Fw%40:x@db/app?sslmode=require&pool_size=3")
    assert (address.user, address.pool_size, dict(address.options)) == ("m@e", 3, {"sslmode": "require"})
    assert address.password is not None
    assert address.password.reveal() == "p/w@:x"
    plain = parse_postgres("postgresql://db/app")
    assert (plain.user, plain.password, plain.pool_size) == (None, None, POOL_SIZE)


def test_neither_user_nor_password_are_told() -> None:
    text = "postgresql://somebody:hunter2@db:6000/app?sslpassword=hunter3"
    address = parse_postgres(text)
    assert place_of(text) == str(address) == "PostgreSQL at db:6000"
    assert "hunter2" not in repr(address)
    assert address.hide("hunter2 and hunter3 are wrong") == "*** and *** are wrong"
    assert PostgresAddress(password=Secret("x")).hide("fine") == "fine"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hunter2@db:port/app",
        "postgresql://me:hunter2@db:0/app",
        "postgresql://me:hunter2@db:65536/app",
        "postgresql://me:hunter2@a:1,b:2,c/app?port=1,2",
        "postgresql://me:hunter2@db/app?sslmod=require",
        "postgresql://me:hunter2@db/app?pool_size=0",
        "postgresql://me:hunter2@db/app?hunter2",
        "postgresql://me:hunter2/3@db/app",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_postgres(text)
    assert [problem.id for problem in refused.value.problems] == ["DW051"]
    assert "hunter2" not in refused.value.detail
