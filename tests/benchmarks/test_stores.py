from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.at_rest import peers_at_rest
from benchmarks.installed import has_node_peers
from benchmarks.measuring import Run
from benchmarks.stores import Plan, key_of, measure_all, publish_parts
from tests.memcached import missing as missing_memcached
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer


@pytest.mark.anyio
@pytest.mark.skipif(missing_memcached() is not None, reason=str(missing_memcached()))
async def test_what_sessions_take_is_measured_on_every_engine(
    postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    plan = Plan(counts=(10, 20), most_cached=10, rounds=1, seconds=0.001)
    parts = await measure_all(tmp_path, plan, postgres=postgres.emptied, valkey=valkey.emptied())
    taken, *look_ups = parts
    sizes = {way.name: way.median for way in taken.measured}
    # So few fit into pages that are there already, in a file and in a process.
    assert all(size > 0 for name, size in sizes.items() if name.startswith(("PostgreSQL", "Redis", "Memcached")))
    assert len(look_ups) == 5
    publish_parts(Run(folder=tmp_path), parts)
    assert "| Redis, 20 sessions |" in (tmp_path / "stores.md").read_text()


def test_what_others_take_is_measured_on_the_same_engines(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    found = peers_at_rest((20,), new_database=postgres.new_database, valkey=valkey.emptied())
    names = [way.name for way in found]
    assert names[:2] == ["Django on PostgreSQL, 20 sessions", "Django on Redis, 20 sessions"]
    assert [way.to for way in found[:2]] == ["PostgreSQL, 20 sessions", "Redis, 20 sessions"]
    if has_node_peers():
        assert names[2:] == ["express-session on Redis, 20 sessions", "better-auth on PostgreSQL, 20 sessions"]
    # No session is less than its key and whom it is of.
    assert all(way.median > 60 for way in found)


def test_keys_are_told_apart_and_fit_a_column() -> None:
    keys = {key_of(number) for number in range(1_000)}
    assert len(keys) == 1_000
    assert all(0 <= key < 2**63 for key in keys)
