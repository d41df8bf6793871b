"""The two databases of a copy: how they are read at one moment, held, and written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from doorward.errors import ConfigurationError, DatabaseUnusable, Problem, ValidationFailed
from doorward.stores import is_postgres, place_of
from doorward.stores.sql import schema
from doorward.stores.sql.postgres_address import PostgresAddress, parse_postgres
from doorward.stores.sql.postgres_errors import unusable
from doorward.stores.sql.sqlite import BUSY_TIMEOUT, opening, sqlite_engine, translated

LONGEST_STATEMENT = timedelta(minutes=10)
"""What one statement on PostgreSQL may take here: counting a hundred million rows is one."""

HOLD_TIMEOUT = timedelta(seconds=5)
"""How long the source's writers are waited for; meanwhile others wait behind us."""


class Side(Protocol):
    """One database of a copy.  ``place`` is where it is, for people: without user and password."""

    place: str
    engine: Engine

    def at_one_moment(self) -> AbstractContextManager[Connection]:
        """Read as it is now, whatever others write meanwhile."""
        ...

    def held(self) -> AbstractContextManager[Connection]:
        """Read, while nobody else can write."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """Write, in one transaction."""
        ...

    def count_on(self, connection: Connection) -> None:
        """Let numbers that the engine gives go on after the greatest that is there."""
        ...

    def gather_statistics(self) -> None:
        """Let the engine know how much there is now."""
        ...


@contextmanager
def side_of(database_url: str) -> Iterator[Side]:
    """One database of a copy, left when the block ends.

    Raises:
        ConfigurationError: the address cannot be used for this.
        DatabaseUnusable: there is no such file.
    """
    if database_url == "memory:":
        raise ConfigurationError([_MEMORY])
    side: Side = (
        PostgresSide(parse_postgres(database_url))
        if is_postgres(database_url)
        else SqliteSide(Path(place_of(database_url)))
    )
    try:
        yield side
    finally:
        side.engine.dispose()


def refuse_one_database(source: Side, target: Side) -> None:
    """Raises ConfigurationError where two addresses name one database."""
    match source, target:
        case SqliteSide(), SqliteSide():
            same = source.path.samefile(target.path)
        case PostgresSide(), PostgresSide():
            one, other = source.address, target.address
            same = (one.hosts, one.ports, one.database) == (other.hosts, other.ports, other.database)
        case _:
            same = False
    if same:
        raise ConfigurationError([_ONE_DATABASE])


class SqliteSide:
    """A SQLite file.

    Args:
        path: absolute.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DatabaseUnusable(f"There is no database at {path}. Correct the name, or make it: doorward migrate")
        self.path = path
        self.place = str(path)
        self.engine = sqlite_engine(path, timeout=BUSY_TIMEOUT)
        self._reading = self.engine.execution_options(reads=True)
        with opening(path), self._reading.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").close()

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        with _told(self.place), translated(self.path), self._reading.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def held(self) -> Iterator[Connection]:
        with _told(self.place), translated(self.path), self.engine.connect() as connection, connection.begin() as held:
            yield connection
            held.rollback()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with _told(self.place), translated(self.path), self.engine.begin() as connection:
            yield connection

    def count_on(self, connection: Connection) -> None:
        """SQLite takes the greatest number that is there."""

    def gather_statistics(self) -> None:
        """SQLite's planner needs none for these tables."""


class PostgresSide:
    """A PostgreSQL database.

    Args:
        address: of it.
    """

    def __init__(self, address: PostgresAddress) -> None:
        from doorward.stores.sql.postgres import need_drivers
        from doorward.stores.sql.postgres_connecting import psycopg_engine

        need_drivers()
        self.address = address
        self.place = f"{address.database} of {address}" if address.database else str(address)
        # A little more than the engine allows itself.
        self.engine = psycopg_engine(address, answer_timeout=LONGEST_STATEMENT + HOLD_TIMEOUT)
        event.listen(self.engine, "connect", _set_bounds)

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with self._telling(), reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def held(self) -> Iterator[Connection]:
        with self._telling(), self.engine.begin() as connection:
            tables = ", ".join(schema.metadata.tables)
            connection.exec_driver_sql(f"LOCK TABLE {tables} IN SHARE MODE").close()
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._telling(), self.engine.begin() as connection:
            yield connection

    def count_on(self, connection: Connection) -> None:
        for table in schema.metadata.sorted_tables:
            column = table.autoincrement_column
            if column is None:
                continue
            sequence = connection.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar_one()
            greatest = connection.execute(select(func.max(column))).scalar_one()
            if sequence is not None and greatest is not None:
                connection.execute(select(func.setval(sequence, greatest))).close()

    def gather_statistics(self) -> None:
        with self.writing() as connection:
            connection.exec_driver_sql(f"ANALYZE {', '.join(schema.metadata.tables)}").close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        with _told(self.place):
            try:
                yield
            except Exception as error:
                told = unusable(error, self.address)
                if told is error:
                    raise
                raise told from error


@contextmanager
def _told(place: str) -> Iterator[None]:
    """What a database does not take.  Only the first line is repeated: the others tell the row, with its secrets."""
    try:
        yield
    except (IntegrityError, ProgrammingError, ValidationFailed) as error:
        cause: Any = error.orig if isinstance(error, DBAPIError) else error.__cause__ or error
        first = (str(getattr(cause, "orig", cause)).splitlines() or [""])[0]
        raise DatabaseUnusable(f"{place} does not take what is to be copied: {first}") from error


def _set_bounds(connection: Any, _record: object) -> None:
    bounds = {"statement_timeout": LONGEST_STATEMENT, "idle_in_transaction_session_timeout": LONGEST_STATEMENT}
    for name, bound in {**bounds, "lock_timeout": HOLD_TIMEOUT}.items():
        connection.execute(f"SET {name} = {bound // timedelta(milliseconds=1)}")
    connection.commit()


_MEMORY = Problem(
    id="DW073",
    message="memory: lives in the server's process, where no command reaches it.",
    remedy="Copy from and to sqlite:///... or postgresql://...",
)
_ONE_DATABASE = Problem(
    id="DW074", message="Both addresses name the same database.", remedy="Copy to another, empty one."
)
