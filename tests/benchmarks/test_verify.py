"""The benchmark of checking a request runs, and every way in it does what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring import Run
from benchmarks.verify import Plan, measured, publish_parts
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio
LEAST = Plan(rounds=1, seconds=0.001, tokens=50)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_checking_a_request_is_measured_and_published(postgres: PostgresServer, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    parts = await measured(tmp_path, postgres.emptied(), LEAST)
    publish_parts(Run(folder=tmp_path), parts)
    page = (tmp_path / "verify.md").read_text()
    assert {"Seen before", "A session cookie", "A new token, ES256", "A new token, RS256"} <= {
        part.title for part in parts
    }
    for part in parts:
        assert f"## {part.title}\n" in page
        assert all(way.median > 0 for way in part.measured)
