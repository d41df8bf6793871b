"""An application of each framework, served by a process of its own under each strategy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from doorward.options import Strategy
from tests.frameworks.clock import SharedClock
from tests.frameworks.site import Site

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework.

    Args:
        name: of its application's module.
        title: what it is called.
        sockets: whether connections stay open there.
    """

    name: str
    title: str
    sockets: bool = True


FRAMEWORKS = (
    Framework("asgi", "bare ASGI"),
    Framework("starlette", "Starlette"),
    Framework("fastapi", "FastAPI"),
    Framework("litestar", "Litestar"),
    Framework("wsgi", "bare WSGI", sockets=False),
    Framework("flask", "Flask", sockets=False),
    Framework("django", "Django", sockets=False),
    Framework("channels", "Django with Channels"),
)


class Server:
    """A process that serves one framework's application under each strategy.

    Args:
        framework: which.
        folder: where its log and its clock are.
    """

    def __init__(self, framework: Framework, folder: Path) -> None:
        clock = folder / "clock"
        self.clock = SharedClock(clock)
        self._log = (folder / "log").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.frameworks.serve", framework.name, str(clock)],
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
        """What it has said on its standard error."""
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._log.close()
