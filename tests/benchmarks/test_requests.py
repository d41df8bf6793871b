"""The benchmark of requests over HTTP runs, and each of its servers lets in whom it should and nobody else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.installed import has_node_peers, versions_in_node
from benchmarks.measuring import Run
from benchmarks.request_ways import DJANGO, FASTAPI, Framework, behind_stores, express
from benchmarks.requests import Plan, installed, measured, publish_parts, versions_of_peers
from benchmarks.serving import Server, Way, serving
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer


def ours(framework: Framework) -> list[Way]:
    return [way for way in framework.ways if way.way in {"none", "hybrid"}]


def lets_in_who_is_signed_in_and_nobody_else(server: Server) -> None:
    (header,) = server.headers
    assert server.ask("/me", server.headers)[0] == 200
    assert server.ask("/me", {})[0] == 401
    for nobody in ("Bearer x", "x=y", f"{server.headers[header].partition('=')[0]}=x"):
        assert server.ask("/me", {header: nobody})[0] == 401


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
async def test_requests_over_http_are_measured_and_published(valkey: ValkeyServer, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    stores = behind_stores(postgres="", redis=valkey.emptied(), memcached=None, callers=3)
    ways = [way for way in stores.ways if way.name in {"no authentication", "Doorward on Redis"}]
    part = await measured(stores, ways, Plan(rounds=1, first=1))
    publish_parts(Run(folder=tmp_path), [part], {"a-peer": "1.2.3"})
    page = (tmp_path / "requests.md").read_text()
    assert "a-peer 1.2.3" in page
    assert "| lost (%) | of a core | p50 (µs) | p99 (µs) |" in page
    without, behind = part.measured
    assert without.beside["lost (%)"] == 0
    assert behind.beside["lost (%)"] == pytest.approx(100 - 100 * behind.median / without.median)
    for way in part.measured:
        assert way.median > 0
        assert 0 < way.beside["p50 (µs)"] <= way.beside["p99 (µs)"]


def test_what_is_measured_lets_in_who_is_signed_in_and_nobody_else() -> None:
    # The benchmark itself refuses to measure any other; behind a store there is another one below.
    with serving(ours(DJANGO)) as servers:
        assert not servers["no authentication"].headers
        lets_in_who_is_signed_in_and_nobody_else(servers["Doorward, hybrid"])


def test_behind_a_store_each_request_looks_its_session_up(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    stores = behind_stores(postgres=postgres.emptied(), redis=valkey.emptied(), memcached=None, callers=2)
    ways = [way for way in stores.ways if way.name.endswith(("Redis", "PostgreSQL"))]
    with serving(ways) as servers:
        for server in servers.values():
            assert server.callers is not None
            assert len(set(server.callers.read_text().splitlines())) == 2
            lets_in_who_is_signed_in_and_nobody_else(server)
        before = look_ups_in(valkey)
        for _ in range(20):
            assert servers["Doorward on Redis"].ask("/me", servers["Doorward on Redis"].headers)[0] == 200
        assert look_ups_in(valkey) >= before + 20


def look_ups_in(valkey: ValkeyServer) -> int:
    calls: Sequence[bytes] = re.findall(rb"cmdstat_get:calls=(\d+)", valkey.say("INFO", "commandstats"))
    return sum(map(int, calls))


@pytest.mark.skipif(
    not has_node_peers(), reason="Node's peers are not installed: python3 dev.py bench requests --quick"
)
def test_the_peers_in_node_let_in_who_is_signed_in_and_nobody_else(
    postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    databases = postgres.new_database(), postgres.new_database()
    framework = express(redis=valkey.emptied(), database=databases[0], cached_database=databases[1])
    with serving(framework.ways) as servers:
        without = servers.pop("no authentication")
        assert not without.headers
        assert without.ask("/me", {})[0] == 200
        for server in servers.values():
            lets_in_who_is_signed_in_and_nobody_else(server)
        # The cookie cache is one more cookie, with which better-auth asks nobody.
        assert "session_data=" in servers["better-auth, cookie cache"].headers["Cookie"]
        postgres.run("DELETE FROM session", databases[1].rpartition("/")[2])
        cached = servers["better-auth, cookie cache"]
        assert cached.ask("/me", cached.headers)[0] == 200
    assert valkey.keys("sess:*")
    assert versions_in_node("express")["express (Node)"].startswith("5.")


def test_the_versions_of_all_that_are_installed_are_told() -> None:
    assert all(re.match(r"\d+\.\d+", version) for version in versions_of_peers().values())


@pytest.mark.parametrize(("are_there", "count"), [(True, 8), (False, 5)])
def test_without_the_peers_doorward_is_measured_alone(
    monkeypatch: pytest.MonkeyPatch, *, are_there: bool, count: int
) -> None:
    monkeypatch.setattr("benchmarks.requests.has_python_peers", lambda: are_there)
    assert len(installed(FASTAPI.ways)) == count
