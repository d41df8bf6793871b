"""The benchmark of who am I runs: every way answers on a store, and the page has what was measured."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.measuring import Run
from benchmarks.who_am_i import CONSTANT, Plan, measured, publish_parts

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
async def test_who_am_i_is_measured_beside_a_check_and_a_constant_answer(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    settings = {"DATABASE": f"sqlite:///{tmp_path / 'who.db'}"}
    part = await measured("On SQLite", settings, Plan(rounds=1, callers=2, credentials=("cookie",)))
    assert part.measured[0].name == CONSTANT
    assert {way.name for way in part.measured[1:]} == {"check, cookie", "who am I, cookie"}
    assert all(way.median > 0 for way in part.measured)
    publish_parts(Run(folder=tmp_path), [part])
    page = (tmp_path / "who_am_i.md").read_text()
    assert "| who am I, cookie |" in page
    assert str(tmp_path) not in page
