"""What tests of copying share: two databases, people who are signed in, and a copy range by range."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.errors import DatabaseUnusable
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.stores import is_postgres, migrate
from doorward.stores.sql.copy_sides import side_of
from doorward.stores.sql.copying import Copied, Copy, Pass, Progress
from doorward.stores.sql.schema import metadata
from tests.postgres import PostgresServer

SECRET = "one secret for the old place and the new one"
PASSWORD = Secret("seven green kettles whistle at dawn")
HOME = Origin(ip="192.0.2.1", user_agent="Browser/1.0")
TESTER = Actor(name="tester", origin=HOME)
Make = Callable[[str], tuple[str, str]]

SMALL = 3
"""Rows a range, so that there are several."""

DIRECTIONS = ["sqlite to postgres", "postgres to sqlite", "postgres to postgres", "sqlite to sqlite"]


@pytest.fixture(scope="module")
def second(postgres: PostgresServer) -> str:
    """Another database of the same engine."""
    address = postgres.new_database()
    migrate(address)
    return address


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file: copying it is quicker than migrating another."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def new_file(template: Path, tmp_path: Path) -> Callable[[str], str]:
    """A file at head without a row."""

    def new(name: str) -> str:
        return f"sqlite:///{shutil.copy(template, tmp_path / name)}"

    return new


@pytest.fixture
def make(postgres: PostgresServer, second: str, new_file: Callable[[str], str]) -> Make:
    """Two databases at head, the second one empty."""

    def both(direction: str) -> tuple[str, str]:
        source, _, target = direction.split()
        run_sql(second, f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        engines = iter([postgres.emptied(), second])
        one, other = (
            next(engines) if engine == "postgres" else new_file(f"{name}.db")
            for engine, name in ((source, "source"), (target, "target"))
        )
        return one, other

    return both


@pytest.fixture(params=DIRECTIONS)
def places(request: pytest.FixtureRequest, make: Make) -> tuple[str, str]:
    return make(request.param)


@pytest.fixture(params=DIRECTIONS[:2])
def moved(request: pytest.FixtureRequest, make: Make) -> tuple[str, str]:
    """From one engine to the other, where the direction matters less."""
    return make(request.param)


@pytest.fixture
def to_postgres(make: Make) -> tuple[str, str]:
    return make(DIRECTIONS[0])


@asynccontextmanager
async def opened(address: str, **options: Any) -> AsyncIterator[Doorward]:
    options = {"rate_limits": False, "insecure_fast_hashing": True, "issuer": "https://auth.example.com", **options}
    async with Doorward(address, secret=SECRET, blocking=True, **options) as auth:
        yield auth


async def sign_in(auth: Doorward, number: int = 0) -> SignedIn:
    return await auth.sign_in(email=f"ada{number}@example.com", password=PASSWORD, origin=HOME)


async def sign_up(auth: Doorward, *numbers: int) -> None:
    for number in numbers:
        await auth.sign_up(email=f"ada{number}@example.com", password=PASSWORD, name="Zoë \U0001f511", actor=TESTER)


async def fill(address: str) -> list[SignedIn]:
    """Some accounts and a session of each."""
    async with opened(address) as auth:
        await sign_up(auth, *range(4))
        return [await sign_in(auth, number) for number in range(4)]


def bearer_of(signed_in: SignedIn) -> Secret:
    assert signed_in.credentials.access_token is not None
    return signed_in.credentials.access_token.text


def refresh_token_of(signed_in: Any) -> Secret:
    token = signed_in.credentials.refresh_token
    assert isinstance(token, Secret)
    return token


def copied(source: str, target: str, *, report: Callable[[Progress], object] = lambda _: None) -> Copied:
    with side_of(source) as ours, side_of(target) as theirs:
        return Copy(ours, theirs, report=report, batch=SMALL).run()


def run_sql(address: str, statement: str) -> list[tuple[Any, ...]]:
    if is_postgres(address):
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return list(found.fetchall()) if found.description else []
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as file, file:
        return list(file.execute(statement))


def counted(copy: Copied) -> dict[str, tuple[int, int, int]]:
    return {each.name.removeprefix("doorward_"): (each.rows, each.written, each.removed) for each in copy.tables}


def untouched(copy: Copied) -> bool:
    return all((table.written, table.removed) == (0, 0) for table in copy.tables)


def once(during: Pass, table: str, then: Callable[[], object]) -> Callable[[Progress], None]:
    """Do something when a pass has done the first range of a table."""
    done: list[object] = []

    def report(progress: Progress) -> None:
        if (progress.during, progress.table) == (during, table) and progress.rows >= SMALL and not done:
            done.append(then())

    return report


async def refused_to_open(address: str) -> str:
    with pytest.raises(DatabaseUnusable) as refused:
        async with opened(address):
            pass
    return refused.value.detail
