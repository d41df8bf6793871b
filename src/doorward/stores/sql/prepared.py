"""Statements of the hot path, run on the driver itself.

They come from the same table definitions as all others and are compiled once; what is left out is what SQLAlchemy does
for each execution, which on SQLite takes longer than the statement and on PostgreSQL about as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Insert, Select
from sqlalchemy.sql.dml import ReturningUpdate

from doorward.stores.sql.transaction import Transaction

_Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A statement as the driver takes it: its text, and what turns values into columns and back."""

    text: str
    is_positional: bool
    binds: Sequence[tuple[str, _Processor | None]]
    literals: Mapping[str, Any]
    processed: Sequence[tuple[int, _Processor]]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters in the driver's order and form."""
        given = {**self.literals, **parameters}
        return [given[name] if process is None else process(given[name]) for name, process in self.binds]

    def row(self, found: Sequence[Any]) -> list[Any]:
        """A row in the form of the models."""
        row = list(found)
        for place, process in self.processed:
            row[place] = process(row[place])
        return row


def compile_for(
    dialect: Dialect, statement: Any, columns: Sequence[Column[Any]] = (), *, inserts: Sequence[str] | None = None
) -> Compiled:
    """Compile a statement once and for all; as ``Prepared``, for a driver that is not asked through SQLAlchemy."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=inserts)
    names = compiled.positiontup if compiled.positional else compiled.binds
    processors = [_result_processor(column.type, dialect) for column in columns]
    return Compiled(
        text=str(compiled),
        is_positional=compiled.positional,
        binds=[(name, _bind_processor(compiled.binds[name].type, dialect)) for name in names],
        literals={name: bind.value for name, bind in compiled.binds.items() if not bind.required},
        processed=[(place, process) for place, process in enumerate(processors) if process is not None],
    )


class Prepared:
    """A statement that is compiled once.

    Args:
        statement: without parts that depend on its parameters.
        columns: those that it returns, in order.
        inserts: of an INSERT, the columns that it is given.
    """

    def __init__(
        self,
        statement: Select[Any] | ReturningUpdate[Any] | Insert,
        columns: Sequence[Column[Any]] = (),
        *,
        inserts: Sequence[str] | None = None,
    ) -> None:
        self._statement = statement
        self._columns = columns
        self._inserts = inserts
        self._compiled: dict[str, Compiled] = {}

    def one(self, tx: Transaction, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """The one row that it returns, or None."""
        compiled = self._for(tx.connection.dialect)
        row = self._fetch(tx, compiled, parameters)
        return None if row is None else compiled.row(row)

    def all(self, tx: Transaction, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """All rows that it returns."""
        compiled = self._for(tx.connection.dialect)
        return [compiled.row(row) for row in _fetch_all(tx.connection, compiled, compiled.values(parameters))]

    def execute(self, tx: Transaction, parameters: Mapping[str, Any]) -> None:
        """Run it where it returns nothing."""
        self._fetch(tx, self._for(tx.connection.dialect), parameters)

    def _fetch(self, tx: Transaction, compiled: Compiled, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        rows = _fetch_all(tx.connection, compiled, compiled.values(parameters))
        return rows[0] if rows else None

    def _for(self, dialect: Dialect) -> Compiled:
        return self._compiled.get(dialect.driver) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> Compiled:
        made = compile_for(dialect, self._statement, self._columns, inserts=self._inserts)
        self._compiled[dialect.driver] = made
        return made


def _fetch_all(connection: Connection, compiled: Compiled, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        # All rows: a statement with RETURNING is not over before the last of them.
        rows: Sequence[Sequence[Any]] = driver.execute(compiled.text, values).fetchall()
        return rows
    # Through SQLAlchemy's connection, whose care for errors is worth more there than what it costs.
    names = (name for name, _ in compiled.binds)
    given: Any = tuple(values) if compiled.is_positional else dict(zip(names, values, strict=True))
    with connection.exec_driver_sql(compiled.text, given) as result:
        return result.all() if result.returns_rows else ()


def _bind_processor(kind: Any, dialect: Dialect) -> _Processor | None:
    processor: _Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return processor


def _result_processor(kind: Any, dialect: Dialect) -> _Processor | None:
    processor: _Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return processor
