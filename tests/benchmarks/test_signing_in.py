"""The benchmark of signing in runs, and each server lets in whom it should and nobody else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measuring import Part, Run
from benchmarks.serving import serving
from benchmarks.signing_in import RAW, Plan, SigningIn, by_doorward, by_peers, credential, measured, publish_parts
from doorward.authenticators.password import INSECURE_FAST


def quickly(signing_in: SigningIn) -> SigningIn:
    settings = {**signing_in.way.settings, "DOORWARD_INSECURE_FAST_HASHING": "on"}
    return replace(signing_in, way=replace(signing_in.way, settings=settings))


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
async def test_signing_in_is_measured_beside_what_others_wait(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    parts: list[Part] = []
    # Hashing yields to whatever else the machine does: where that fills its cores, nobody signs in within a second.
    for seconds in (1, 4, 16):
        parts = await measured([quickly(by_doorward())], Plan(rounds=1, seconds=seconds), parameters=INSECURE_FAST)
        if all(way.median > 0 for part in parts for way in part.measured):
            break
    signing_in, waiting = parts
    assert [way.name for way in signing_in.measured] == [RAW, "Doorward"]
    assert [way.to for way in waiting.measured] == [None, "Doorward, nobody signs in"]
    assert all(way.median > 0 for part in parts for way in part.measured)
    publish_parts(Run(folder=tmp_path), parts)
    assert "| Doorward, meanwhile |" in (tmp_path / "signing_in.md").read_text()


@pytest.mark.parametrize("peer", [pytest.param(peer, id=peer.way.name) for peer in by_peers()])
def test_a_peer_signs_in_with_the_right_password_and_no_other(peer: SigningIn) -> None:
    with serving([peer.way]) as servers:
        assert credential(peer, servers[peer.way.name])
