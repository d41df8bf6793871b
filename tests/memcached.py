"""A real Memcached for tests, from Debian's package."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY = 65534
READY_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 30
_ENDS = (b"END\r\n", b"OK\r\n", b"STORED\r\n", b"EXISTS\r\n", b"ERROR\r\n")


@dataclass(slots=True, kw_only=True)
class MemcachedServer:
    """One server process on a port of its own."""

    port: int
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"memcached://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["memcached", "-U", "0", "-l", "127.0.0.1", "-p", str(self.port), "-t", "1", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **_as_nobody(),
        )
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                self.say("flush_all")
                return
            time.sleep(0.01)
        raise RuntimeError(f"memcached does not listen on port {self.port}")

    def say(self, command: str, value: bytes | None = None) -> bytes:
        """Send a command as somebody who is not Doorward.  Returns all that is answered."""
        sent = command.encode() + b"\r\n" + (b"" if value is None else value + b"\r\n")
        with socket.create_connection(("127.0.0.1", self.port), timeout=READY_WITHIN_SECONDS) as connection:
            connection.sendall(sent)
            answer = b""
            while not answer.endswith(_ENDS):
                answer += connection.recv(65536) or b"ERROR\r\n"
            return answer

    def emptied(self) -> str:
        """The address of a server that keeps nothing."""
        self.say("flush_all")
        return self.url

    def value(self, name: str) -> bytes | None:
        head, _, rest = self.say(f"get {name}").partition(b"\r\n")
        return rest[: int(head.split()[3])] if head.startswith(b"VALUE ") else None

    def kept_for(self, name: str) -> int:
        """So many seconds a value will stand there yet."""
        told = self.say(f"mg {name} t\r\nget -").split()[1]
        return int(told.removeprefix(b"t"))

    def put(self, name: str, value: bytes) -> None:
        assert self.say(f"set {name} 0 0 {len(value)}", value) == b"STORED\r\n"

    def count(self, statistic: str) -> int:
        """One of its statistics, such as ``get_hits``."""
        said = dict(line.split()[1:3] for line in self.say("stats").splitlines() if line.startswith(b"STAT "))
        return int(said[statistic.encode()])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped, with its connections open: the system goes on taking what is sent."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        while {_state(thread) for thread in Path(f"/proc/{self.process.pid}/task").iterdir()} != {"T"}:
            time.sleep(0.001)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(ENDS_WITHIN_SECONDS)


def _state(thread: Path) -> str:
    """The name before it may hold anything."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def missing() -> str | None:
    """Why there can be no server, or None."""
    return None if shutil.which("memcached") else "needs memcached: apt-get install memcached"


@contextmanager
def a_memcached(*arguments: str) -> Iterator[MemcachedServer]:
    """A server that keeps nothing yet."""
    server = MemcachedServer(port=_free_port(), arguments=arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _as_nobody() -> dict[str, Any]:
    """Memcached refuses to be run by root."""
    path = {"PATH": os.environ.get("PATH", os.defpath)}
    return {"env": path, **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {})}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
