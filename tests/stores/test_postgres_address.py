from __future__ import annotations

import ssl
from datetime import timedelta
from urllib.parse import quote

import pytest

from doorward.errors import ConfigurationError
from doorward.secret import Secret
from doorward.stores import place_of
from doorward.stores.sql.postgres_address import POOL_SIZE, PostgresAddress, parse_options, parse_postgres
from doorward.stores.sql.postgres_connecting import verifying_tls


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


# As providers hand them out


@pytest.mark.parametrize(
    "text",
    [
        # Neon, Supabase (direct, and its pooler in session mode), RDS and Aurora, Azure, Heroku, Vercel, Railway.
        "postgresql://alex:AbC123dEf@ep-cool-darkness-123456.us-east-2.aws.neon.tech/dbname?sslmode=require&channel_binding=require",
        "postgresql://alex:pw@ep-cool-darkness-123456.us-east-2.aws.neon.tech/db?options=endpoint%3Dep-cool&sslmode=require",
        "postgresql://postgres:pw@db.abcdefgh.supabase.co:5432/postgres",
        "postgres://postgres.abcdefgh:pw@aws-0-eu-central-1.pooler.supabase.com:5432/postgres?connect_timeout=10",
        "postgresql://app:pw@db.abc.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert=/etc/global-bundle.pem",
        "postgresql://me%40server:pw@server.postgres.database.azure.com:5432/app?sslmode=require",
        "postgres://u:p@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d",
        "postgres://default:pw@ep-a-1.postgres.vercel-storage.com:5432/verceldb?sslmode=require&connect_timeout=15",
        "postgresql://app:pw@[2001:db8::1]:5432/app?target_session_attrs=read-write&application_name=app&pool_timeout=5",
        "postgresql://app:pw@db/app?gssencmode=disable&sslmode=verify-full&sslrootcert=system",
    ],
)
def test_addresses_of_providers_are_taken(text: str) -> None:
    assert parse_postgres(text).hosts


def test_how_long_connecting_may_take_is_taken_up_to_what_an_operation_may_take() -> None:
    given = [parse_postgres(f"postgresql://db/app?connect_timeout={text}").connect_timeout for text in ("1", "10", "0")]
    assert given == [timedelta(seconds=1), timedelta(seconds=7), timedelta(seconds=7)]
    assert parse_postgres("postgresql://db/app").connect_timeout is None
    assert parse_postgres("postgresql://db/app?pool_timeout=4").pool_timeout == timedelta(seconds=4)


@pytest.mark.parametrize(
    ("options", "settings", "route"),
    [
        ("-c search_path=mine", {"search_path": "mine"}, None),
        ("-csearch_path=mine -c work_mem=8MB", {"search_path": "mine", "work_mem": "8MB"}, None),
        ("--search_path=mine --enable-seqscan=off", {"search_path": "mine", "enable_seqscan": "off"}, None),
        (r"-c search_path=mine,\ public", {"search_path": "mine, public"}, None),
        ("endpoint=ep-cool-1", {}, "endpoint=ep-cool-1"),
        ("project=cool -c search_path=a", {"search_path": "a"}, "project=cool"),
        ("", {}, None),
    ],
)
def test_options_name_settings_and_where_a_proxy_leads(
    options: str, settings: dict[str, str], route: str | None
) -> None:
    assert parse_options(options) == (settings, route)
    written = quote(options, safe="")
    for text in (written, written.replace("%20", "+")):
        address = parse_postgres(f"postgresql://db/app?options={text}")
        assert (dict(address.settings), address.route) == (settings, route)


@pytest.mark.parametrize(
    "query",
    [
        "pgbouncer=true",
        "connection_limit=1",
        "schema=mine",
        "service=prod",
        "sslmode=no-verify",
        "channel_binding=maybe",
        "gssencmode=require",
        # Less than was asked for.
        "channel_binding=require&sslmode=prefer",
        "channel_binding=require&host=/run/postgresql",
        "sslrootcert=system&sslmode=require",
        "require_auth=scram-sha-256",
        "options=-c%20statement_timeout%3D0",
        "options=-c%20Lock_Timeout%3D0",
        "options=-c%20synchronous_commit%3Doff",
        "options=-d%205",
        "options=-c%20search_path%3Da'b",
        "options=hunter2",
        "connect_timeout=soon",
        "pool_timeout=-1",
    ],
)
def test_what_cannot_be_heeded_or_would_be_less_than_was_asked_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_postgres(f"postgresql://me:hunter2@db/app?{query}")
    assert [problem.id for problem in refused.value.problems] == ["DW051"]
    assert "hunter2" not in refused.value.detail


def test_channel_binding_without_a_host_is_refused_since_the_driver_may_choose_a_socket() -> None:
    with pytest.raises(ConfigurationError):
        parse_postgres("postgresql:///app?channel_binding=require")


def test_a_plus_in_a_password_stays_one() -> None:
    address = parse_postgres("postgresql://db/app?password=a+b%2Bc")
    assert address.password is not None
    assert address.password.reveal() == "a+b+c"


@pytest.mark.parametrize("query", ["sslmode=require&channel_binding=require", "sslmode=verify-full&sslrootcert=system"])
def test_a_driver_without_channel_binding_checks_the_certificate_and_its_name(query: str) -> None:
    address = parse_postgres(f"postgresql://db/app?{query}")
    assert address.needs_verified_tls
    assert "sslrootcert" not in address.tls
    context = verifying_tls(address)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
