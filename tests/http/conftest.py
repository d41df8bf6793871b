from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.http.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The hybrid with one account, ada@example.com."""
    async with a_world() as made:
        await made.sign_up()
        yield made


@pytest.fixture
async def session_world() -> AsyncIterator[World]:
    """The same under the strategy ``session``."""
    async with a_world(strategy="session") as made:
        await made.sign_up()
        yield made
