"""The benchmark of start and size runs: what it starts serves, and what it adds up is there."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from benchmarks.installed import has_node_peers
from benchmarks.installed_size import node_size, python_size
from benchmarks.serving import NODE_PEERS
from benchmarks.start import BARE, Plan, imports, installed, memory, missing, printed, serve, until_ready

SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])


@pytest.mark.anyio
async def test_an_import_and_a_start_are_timed() -> None:
    assert await printed(imports()["doorward.Verifier"]) > 0
    # A process cannot have answered before it has imported what it serves.
    assert await until_ready(serve("doorward serve")) > 100


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_memory_is_told_idle_and_after_requests() -> None:
    idle, after = memory(BARE[:1], Plan(requests=1)).measured
    assert (idle.name, after.name, after.to) == ("bare ASGI, alone, idle", "bare ASGI, alone, after", idle.name)
    assert after.beside["requests"] > 1
    # A Python with a server in it takes more than a few MiB, and less than a GiB.
    assert all(5 < way.median < 1024 for way in (idle, after))


def test_what_is_installed_is_added_up_with_all_that_it_asks_for() -> None:
    sizes = {way.name: way.median for way in installed().measured}
    assert 1 < sizes["doorward"] < sizes["doorward[accounts]"] < sizes["doorward[server]"] < sizes["doorward[all]"]
    # An extra that an extra asks for is counted, and nothing twice.
    assert python_size("doorward[server,accounts]", SITE_PACKAGES) == python_size("doorward[server]", SITE_PACKAGES)
    assert python_size("no-such-package", SITE_PACKAGES) == 0


@pytest.mark.skipif(not has_node_peers(), reason="the peers are missing: python3 dev.py bench")
def test_a_node_package_is_added_up_with_all_that_it_asks_for() -> None:
    assert node_size("express", NODE_PEERS) > node_size("accepts", NODE_PEERS) > 0
