"""How values of the models are kept in columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from doorward.secret import Secret

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NameT = TypeVar("NameT", bound=StrEnum)


def _read_instant(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


_decode_words = msgspec.json.Decoder(tuple[str, ...]).decode


def _read_words(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else _decode_words(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime: microseconds since 1970 where the engine has no instants of its own.

    Whole microseconds, because rotation compares instants for equality: generations were told apart by whole seconds
    elsewhere, and confused.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return (value - _EPOCH) // _MICROSECOND

    # Asked for once a statement instead of once a value: a session has eight of these.
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:  # noqa: ARG002
        # PostgreSQL's drivers give aware datetimes.
        return None if dialect.name == "postgresql" else _read_instant


class Words(TypeDecorator[tuple[str, ...]]):
    """A few strings, as a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], tuple[str, ...] | None]:  # noqa: ARG002
        return _read_words


class JsonObject(TypeDecorator[Mapping[str, Any]]):
    """A small object of plain values."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(dict(value), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:  # noqa: ARG002
        return None if value is None else json.loads(value)


class Hidden(TypeDecorator[Secret]):
    """Text that is a ``Secret`` wherever Python holds it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Secret | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.reveal()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Secret | None:  # noqa: ARG002
        return None if value is None else Secret(value)


class Name(TypeDecorator[NameT]):
    """A member of an enumeration, by its value."""

    impl = Text
    cache_ok = True

    def __init__(self, names: type[NameT]) -> None:
        super().__init__()
        self.names = names

    def process_bind_param(self, value: NameT | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> NameT | None:  # noqa: ARG002
        return None if value is None else self.names(value)
