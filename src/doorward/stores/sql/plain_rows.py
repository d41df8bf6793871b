"""Rows as plain values, the same on every engine, for copying and comparing them.

An instant is microseconds since 1970, a truth 0 or 1, JSON its text: what a row is made of does not depend on where it
is kept, so rows of two engines are compared as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    cast,
    delete,
    extract,
    func,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from doorward.stores.sql.types import Instant

Plain = int | str | bytes | None
PlainRow = tuple[Plain, ...]
Key = tuple[Plain, ...]
"""Values of the primary key; texts are ordered by their bytes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUL = "\0"


class PlainTable:
    """A table of one engine, read and written as plain values.

    Args:
        table: as the schema declares it.
        dialect: of the engine.
        leave_out: keys of rows that are passed over.
    """

    def __init__(self, table: Table, dialect: Dialect, *, leave_out: Sequence[Key] = ()) -> None:
        self.name = str(table.name)
        self.table = table
        self._is_postgres = dialect.name == "postgresql"
        self._columns = tuple(table.columns)
        self._kept = Table(
            table.name,
            MetaData(),
            *(Column(each.name, kept_type(each.type, dialect), primary_key=each.primary_key) for each in self._columns),
        )
        self._key_at = tuple(self._columns.index(each) for each in table.primary_key.columns)
        self._key_columns = tuple(self._ordered(each) for each in table.primary_key.columns)
        self._converted = self._conversions()
        self._not_left_out = ~self._named(leave_out) if leave_out else true()

    # Reading

    def key_of(self, row: PlainRow) -> Key:
        return tuple(row[position] for position in self._key_at)

    def page(self, connection: Connection, *, after: Key | None, limit: int) -> list[PlainRow]:
        """The rows that follow a key, in the order of keys."""
        statement = select(*(self._plain(each) for each in self._columns)).where(self._not_left_out)
        if after is not None:
            statement = statement.where(self._follows(after))
        found = connection.execute(statement.order_by(*self._key_columns).limit(limit))
        return [tuple(row) for row in found]

    def count(self, connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(self._kept).where(self._not_left_out)).scalar_one()

    def is_empty(self, connection: Connection) -> bool:
        return connection.execute(select(1).select_from(self.table).limit(1)).first() is None

    def with_nul(self, connection: Connection) -> tuple[int, Key | None]:
        """How many rows have a text with the character NUL, which PostgreSQL cannot keep, and the key of the first."""
        texts = [each for each in self._kept.columns if isinstance(each.type, Text)]
        if not texts or self._is_postgres:
            return 0, None
        found = or_(*(func.instr(each, func.char(0)) > 0 for each in texts))
        many = connection.execute(select(func.count()).select_from(self._kept).where(found)).scalar_one()
        keys = tuple(self._kept.primary_key.columns)
        first = connection.execute(select(*keys).where(found).order_by(*keys).limit(1)).first() if many else None
        return many, tuple(first) if first is not None else None

    # Writing

    def write(self, connection: Connection, rows: Sequence[PlainRow]) -> None:
        """Let these rows be there as they are, whatever was there under their keys."""
        insert = (postgresql.insert if self._is_postgres else sqlite.insert)(self._kept)
        others = {each.name: insert.excluded[each.name] for each in self._kept.columns if not each.primary_key}
        statement = insert.on_conflict_do_update(index_elements=list(self._kept.primary_key.columns), set_=others)
        names = [each.name for each in self._columns]
        connection.execute(statement, [dict(zip(names, self._bound(row), strict=True)) for row in rows])

    def make_way(self, connection: Connection, rows: Sequence[PlainRow]) -> None:
        """Remove what these rows cannot stand beside: the source has given its unique value to one of them since.

        Also where it is one of these rows itself: which of them is written first is not said.
        """
        keys = [self.key_of(row) for row in rows]
        key_columns = list(self._kept.primary_key.columns)
        for unique in self._uniques():
            at = [self._columns.index(each) for each in unique]
            columns = [self._kept.c[each.name] for each in unique]
            values = [tuple(row[position] for position in at) for row in rows]
            own = [value + key for value, key in zip(values, keys, strict=True)]
            self._remove(connection, and_(_among(columns, values), ~_among(columns + key_columns, own)))

    def remove(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Remove rows, and what refers to them."""
        self._remove(connection, self._named(keys))

    def _remove(self, connection: Connection, condition: ColumnElement[bool]) -> None:
        for child in self.table.metadata.sorted_tables:
            for foreign in child.foreign_keys:
                if foreign.column.table is self.table:
                    gone = select(self._kept.c[foreign.column.name]).where(condition)
                    connection.execute(delete(child).where(foreign.parent.in_(gone)))
        connection.execute(delete(self._kept).where(condition))

    # Forms

    def _plain(self, column: Column[Any]) -> ColumnElement[Any]:
        if isinstance(column.type, Instant) and self._is_postgres:
            # The engine tells it as a decimal number: nothing is rounded.
            return cast(extract("epoch", self._kept.c[column.name]) * 1_000_000, BigInteger)
        if isinstance(column.type, Boolean) and self._is_postgres:
            return cast(self._kept.c[column.name], Integer)
        return self._kept.c[column.name]

    def _conversions(self) -> Sequence[tuple[int, Callable[[Any], Any]]]:
        forms: Mapping[type, Callable[[Any], Any]] = {Instant: _instant, Boolean: bool} if self._is_postgres else {}
        return [(at, forms[type(each.type)]) for at, each in enumerate(self._columns) if type(each.type) in forms]

    def _bound(self, row: PlainRow) -> Sequence[Any]:
        values: list[Any] = list(row)
        for at, convert in self._converted:
            if values[at] is not None:
                values[at] = convert(values[at])
        return values

    def _ordered(self, column: Column[Any]) -> ColumnElement[Any]:
        kept = self._kept.c[column.name]
        # By bytes everywhere, as SQLite and Python have it.
        return kept.collate("C") if self._is_postgres and isinstance(kept.type, Text) else kept

    def _follows(self, key: Key) -> ColumnElement[bool]:
        if len(key) == 1:
            return self._key_columns[0] > key[0]
        return tuple_(*self._key_columns) > key

    def _named(self, keys: Sequence[Key]) -> ColumnElement[bool]:
        return _among(list(self._kept.primary_key.columns), keys)

    def _uniques(self) -> Sequence[Sequence[Column[Any]]]:
        constraints = [list(each.columns) for each in self.table.constraints if isinstance(each, Unique)]
        return constraints + [[self.table.c[each.name] for each in x.columns] for x in self.table.indexes if x.unique]


def kept_type(declared: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """How an engine keeps a column.

    Raises:
        TypeError: of such a column it is not known how to tell whether two engines keep the same in it.
    """
    if isinstance(declared, Instant):
        return declared.load_dialect_impl(dialect)
    kept = declared.impl_instance if isinstance(declared, TypeDecorator) else declared
    if isinstance(kept, Boolean):
        return Boolean() if dialect.name == "postgresql" else Integer()
    for known in (Text, LargeBinary, BigInteger, Integer):
        if isinstance(kept, known):
            return known()
    raise TypeError(f"{declared!r} has no plain form")


def _among(columns: Sequence[ColumnElement[Any]], values: Sequence[tuple[Plain, ...]]) -> ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([value for (value,) in values])
    return tuple_(*columns).in_(values)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
