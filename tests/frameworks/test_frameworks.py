"""The one list of scenarios, against every framework as a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from doorward.options import Strategy
from tests.frameworks.conftest import ASYNCHRONOUS, Server
from tests.frameworks.scenarios import SCENARIOS, Listed

pytestmark = pytest.mark.anyio

CASES = [
    pytest.param(
        framework,
        strategy,
        listed,
        id=f"{framework}-{strategy}-{listed.name}",
        marks=pytest.mark.xdist_group(f"framework {framework}"),
    )
    for framework in ASYNCHRONOUS
    for strategy in get_args(Strategy)
    for listed in SCENARIOS
    if listed.applies_to(strategy, sockets=True)
]


@pytest.mark.parametrize(("framework", "strategy", "listed"), CASES)
async def test_every_framework_does_the_same(
    servers: Callable[[str], Server], framework: str, strategy: Strategy, listed: Listed
) -> None:
    server = servers(framework)
    await listed.run(server.site(strategy))
    assert "Traceback" not in server.log
