from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.frameworks.servers import Framework, Server

# A scenario that fails says what it saw.
pytest.register_assert_rewrite("tests.frameworks.scenarios")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Framework], Server]]:
    """The servers, each started when it is first asked for."""
    running: dict[Framework, Server] = {}
    with ExitStack() as stack:

        def server(framework: Framework) -> Server:
            if framework not in running:
                started = Server(framework, tmp_path_factory.mktemp(framework.name))
                running[framework] = stack.enter_context(closing(started))
            return running[framework]

        yield server
