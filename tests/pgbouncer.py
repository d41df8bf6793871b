"""A real pgbouncer for tests, by apt."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.postgres import NOBODY, PostgresServer

READY_WITHIN_SECONDS = 30
_PROGRAM = "/usr/sbin/pgbouncer"


def missing() -> str | None:
    """Why there can be none, or None."""
    return None if _program() is not None else "needs pgbouncer: apt-get install pgbouncer"


@contextmanager
def a_pgbouncer(postgres: PostgresServer, *, pool_mode: str, **settings: str) -> Iterator[int]:
    """The port of a pooler before a server.

    Args:
        postgres: the server.
        pool_mode: ``session`` or ``transaction``.
        settings: more of pgbouncer's.
    """
    with tempfile.TemporaryDirectory(prefix="doorward-pgbouncer-") as place, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        probe.close()
        given = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": pool_mode,
            "default_pool_size": "30",
            "max_client_conn": "200",
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in given.items()]
        database = f"* = host=127.0.0.1 port={postgres.port} user=doorward"
        file = Path(place) / "pgbouncer.ini"
        file.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines]) + "\n")
        options: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        if os.geteuid() == 0:
            # pgbouncer refuses to be run by root.
            os.chown(place, NOBODY, NOBODY)
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        program = _program()
        assert program is not None
        process = subprocess.Popen([program, "-q", file], cwd="/", **options)
        try:
            _wait(port)
            yield port
        finally:
            process.terminate()
            process.wait(READY_WITHIN_SECONDS)


def _program() -> str | None:
    return shutil.which("pgbouncer") or shutil.which(_PROGRAM)


def _wait(port: int) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://doorward@127.0.0.1:{port}/doorward").close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"pgbouncer does not listen on port {port}")
