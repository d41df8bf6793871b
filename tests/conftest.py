from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No deadline: a machine that is busy is no defect.  CI draws the same examples every time, so that its answer does not
# depend on luck; a developer's runs go on looking.
settings.register_profile("developer", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
