from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from doorward.options import Strategy
from tests.frameworks.clock import SharedClock
from tests.frameworks.site import Site

# A scenario that fails says what it saw.
pytest.register_assert_rewrite("tests.frameworks.scenarios")

ROOT = Path(__file__).parents[2]
ASYNCHRONOUS = ("asgi", "starlette", "fastapi", "litestar")


class Server:
    """A process that serves one framework's application under each strategy."""

    def __init__(self, framework: str, folder: Path) -> None:
        clock = folder / "clock"
        self.clock = SharedClock(clock)
        self._log = (folder / "log").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.frameworks.serve", framework, str(clock)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._addresses: dict[str, str] | None = None

    def site(self, strategy: Strategy) -> Site:
        """Where a strategy is served, once the process is ready."""
        if self._addresses is None:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            assert line, self.log
            self._addresses = json.loads(line)
        return Site(self._addresses[strategy], strategy, self.clock)

    @property
    def log(self) -> str:
        """What it has said that nobody should have had to say."""
        self._log.seek(0)
        return self._log.read().decode()

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._log.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """The servers, each started when it is first asked for."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def server(framework: str) -> Server:
            if framework not in running:
                running[framework] = Server(framework, tmp_path_factory.mktemp(framework))
                stack.callback(running[framework].stop)
            return running[framework]

        yield server
