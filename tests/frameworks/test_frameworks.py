"""The one list of scenarios, against every framework as a real server."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from doorward.options import Strategy
from tests.frameworks.scenarios import SCENARIOS, WITHIN_SECONDS, Listed
from tests.frameworks.servers import FRAMEWORKS, Framework, Server

ROOT = Path(__file__).parents[2]
CASES = [
    pytest.param(framework, strategy, listed, id=f"{framework.name}-{strategy}-{listed.name}")
    for framework in FRAMEWORKS
    for strategy in get_args(Strategy)
    for listed in SCENARIOS
    if listed.applies_to(strategy, sockets=framework.sockets)
]


@pytest.mark.anyio
@pytest.mark.parametrize(("framework", "strategy", "listed"), CASES)
async def test_every_framework_does_the_same(
    servers: Callable[[Framework], Server], framework: Framework, strategy: Strategy, listed: Listed
) -> None:
    server = servers(framework)
    async with asyncio.timeout(2 * WITHIN_SECONDS):
        await listed.run(server.site(strategy))
    assert "Traceback" not in server.log


def test_the_page_says_what_was_run() -> None:
    spec = importlib.util.spec_from_file_location("make_frameworks", ROOT / "docs" / "make_frameworks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    counts = {
        framework.name: {area: module.counted(framework, area) for area in module.AREAS} for framework in FRAMEWORKS
    }
    assert module.PAGE.read_text() == module.page(counts), "run: python3 dev.py docs"
