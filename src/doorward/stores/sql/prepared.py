"""Statements of the hot path, run on SQLite's driver itself.

They come from the same table definitions as all others and are compiled once; what is left out is what SQLAlchemy does
for each execution, which on SQLite takes longer than the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Dialect, Insert, Select
from sqlalchemy.sql.dml import ReturningUpdate

from doorward.stores.sql.transaction import Transaction

_Processor = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A statement as the driver takes it: its text, and what turns values into columns and back."""

    text: str
    binds: Sequence[tuple[str, _Processor]]
    literals: Mapping[str, Any]
    results: Sequence[_Processor]


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
        self._compiled: _Compiled | None = None

    def one(self, tx: Transaction, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """The one row that it returns, or None."""
        if tx.connection.dialect.name != "sqlite":
            return tx.connection.execute(self._statement, parameters).one_or_none()
        compiled = self._compiled or self._compile(tx.connection.dialect)
        row = self._fetch(tx, compiled, parameters)
        if row is None:
            return None
        return [
            value if process is None else process(value) for value, process in zip(row, compiled.results, strict=True)
        ]

    def execute(self, tx: Transaction, parameters: Mapping[str, Any]) -> None:
        """Run it where it returns nothing."""
        if tx.connection.dialect.name != "sqlite":
            tx.connection.execute(self._statement, parameters)
        else:
            self._fetch(tx, self._compiled or self._compile(tx.connection.dialect), parameters)

    def _fetch(self, tx: Transaction, compiled: _Compiled, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        driver: Any = tx.connection.connection.dbapi_connection
        given = {**compiled.literals, **parameters}
        values = [given[name] if process is None else process(given[name]) for name, process in compiled.binds]
        # All rows: a statement with RETURNING is not over before the last of them.
        rows: list[Sequence[Any]] = driver.execute(compiled.text, values).fetchall()
        return rows[0] if rows else None

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._inserts)
        self._compiled = _Compiled(
            text=str(compiled),
            binds=[(name, _bind_processor(compiled.binds[name].type, dialect)) for name in compiled.positiontup],
            literals={name: bind.value for name, bind in compiled.binds.items() if not bind.required},
            results=[_result_processor(column.type, dialect) for column in self._columns],
        )
        return self._compiled


def _bind_processor(kind: Any, dialect: Dialect) -> _Processor:
    processor: _Processor = kind.dialect_impl(dialect).bind_processor(dialect)
    return processor


def _result_processor(kind: Any, dialect: Dialect) -> _Processor:
    processor: _Processor = kind.dialect_impl(dialect).result_processor(dialect, None)
    return processor
