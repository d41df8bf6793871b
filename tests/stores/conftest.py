from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.postgres import PostgresServer
from tests.stores.copies import make, moved, new_file, places, second, template, to_postgres

__all__ = ["make", "moved", "new_file", "places", "second", "template", "to_postgres"]


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.emptied()


@pytest.fixture
def other(address: str) -> Iterator[psycopg.Connection[object]]:
    """Somebody else's connection."""
    with closing(psycopg.connect(address)) as connection:
        yield connection
