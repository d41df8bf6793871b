from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.postgres import PostgresServer


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.emptied()


@pytest.fixture
def other(address: str) -> Iterator[psycopg.Connection[object]]:
    """Somebody else's connection."""
    with closing(psycopg.connect(address)) as connection:
        yield connection
