"""The benchmark of refreshing runs: in process on every engine, and over HTTP, where every answer rotates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import refreshing
from benchmarks.callers import Plan as InProcess
from benchmarks.measuring import Run
from benchmarks.refreshing import Plan, publish_parts
from benchmarks.refreshing_peers import SERVED_EACH_TIME
from benchmarks.rotations import on_postgres, on_redis, on_sqlite
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer

pytestmark = pytest.mark.anyio
LEAST = InProcess(at_once=(2,), rounds=1, seconds=0.001)


async def test_rotations_in_process_are_measured_beside_the_bare_statement_and_published(
    postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    parts = await on_postgres(postgres.emptied(), LEAST) + await on_sqlite(tmp_path, LEAST)
    parts += await on_redis(valkey.emptied(), tmp_path, LEAST)
    assert all(part.measured[0].name.startswith("bare ") for part in parts)
    publish_parts(Run(folder=tmp_path), parts)
    page = (tmp_path / "refreshing.md").read_text()
    assert all(f"## {part.title}\n" in page for part in parts)
    assert str(tmp_path) not in page


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
async def test_refreshing_over_http_rotates_with_every_request(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "a_database", lambda server: server.emptied())
    (part,) = await refreshing.over_http(postgres, tmp_path, [SERVED_EACH_TIME], Plan(at_once=(2,), rounds=1))
    (way,) = part.measured
    assert way.median > 0
    ((rotations, used),) = postgres.run(
        "SELECT sum(generation), count(*) FILTER (WHERE generation > 0) FROM doorward_session"
    )
    # Two sessions in each of two rounds, of which one is counted.
    assert used == 4
    assert rotations > way.median
