"""The benchmark of checking a request runs, and every way in it does what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.installed import has_node_peers, has_python_peers
from benchmarks.measuring import Run
from benchmarks.verify import Plan, Servers, measured, publish_parts
from benchmarks.verify_peers import elsewhere, in_this_process
from tests.memcached import MemcachedServer
from tests.postgres import PostgresServer
from tests.tokens.minting import ALL_KEYS, ES256
from tests.valkey import ValkeyServer
from tests.verifier.issuer import an_issuer

pytestmark = pytest.mark.anyio
LEAST = Plan(rounds=1, seconds=0.001, tokens=50)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_checking_a_request_is_measured_and_published(
    postgres: PostgresServer, valkey: ValkeyServer, memcached: MemcachedServer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    servers = Servers(postgres=postgres.emptied(), valkey=valkey.emptied(), memcached=memcached.emptied())
    hits = memcached.count("get_hits")
    parts = {part.title: part for part in await measured(tmp_path, servers, LEAST)}
    # What was forgotten was asked of the engine.
    assert memcached.count("get_hits") > hits
    assert valkey.keys()
    engines = ("SQLite", "PostgreSQL", "Redis", "Memcached")
    cookies = [way.name for way in parts["A session cookie"].measured]
    assert cookies == ["from memory", *(f"through {engine}" for engine in engines)]
    for key in ALL_KEYS:
        # Each ratio is to the bare primitive.
        assert parts[f"A new token, {key.algorithm}"].measured[0].name == "cryptography"
    publish_parts(Run(folder=tmp_path), [*parts.values()])
    page = (tmp_path / "verify.md").read_text()
    assert "| times PyJWT |" in page
    for part in parts.values():
        assert f"## {part.title}\n" in page
        assert all(way.median > 0 for way in part.measured)


@pytest.mark.parametrize(
    ("name", "is_there"),
    [("Authlib", has_python_peers()), ("jose, in Node", has_node_peers())],
    ids=["Authlib", "jose"],
)
async def test_a_peer_in_a_process_of_its_own_verifies(name: str, *, is_there: bool) -> None:
    if not is_there:
        pytest.skip("the peers are not installed: python3 dev.py bench verify --quick")
    with an_issuer() as issuer:
        token = issuer.a_token()
        with elsewhere([token], ES256, issuer=issuer.address, seconds=0.001) as peers:
            assert await peers[name]() > 0
        with (
            elsewhere([token[:-4] + "AAAA"], ES256, issuer=issuer.address, seconds=0.001) as peers,
            pytest.raises(RuntimeError, match=r"(?i)signature"),
        ):
            await peers[name]()


@pytest.mark.parametrize("name", ["joserfc", "PyJWT"])
def test_a_peer_in_this_process_verifies(name: str) -> None:
    with an_issuer() as issuer:
        token = issuer.a_token()
        assert in_this_process([token], ES256, issuer=issuer.address)[name]() is not False
        with pytest.raises(Exception, match=r"(?i)signature"):
            in_this_process([token[:-4] + "AAAA"], ES256, issuer=issuer.address)[name]()
