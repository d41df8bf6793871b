"""A real nginx for tests, from Debian's package, with the configuration of the example."""

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

EXAMPLE = Path(__file__).parents[1] / "examples" / "nginx" / "nginx.conf"
NOBODY = 65534
READY_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 30
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

# Where Debian's nginx writes by default only root may.
_OF_ITS_OWN = "access_log off; " + " ".join(
    f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def missing() -> str | None:
    """Why there can be no server, or None."""
    return None if shutil.which("nginx", path=_PATH) else "needs nginx: apt-get install nginx-light"


@contextmanager
def an_nginx(port: int, *, doorward: str, application: str) -> Iterator[Path]:
    """The example on a port of its own, before two servers (host and port); gives the log of its errors."""
    text = EXAMPLE.read_text()
    for there, here in (
        ("127.0.0.1:8000;", f"{doorward};"),
        ("127.0.0.1:9000;", f"{application};"),
        ("127.0.0.1:8080;", f"127.0.0.1:{port};"),
    ):
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    with nginx_with(text, port) as log:
        yield log


@contextmanager
def nginx_with(text: str, port: int) -> Iterator[Path]:
    """A server with this configuration, which listens on the port; gives the log of its errors."""
    with tempfile.TemporaryDirectory(prefix="doorward-nginx-") as name:
        folder = Path(name)
        assert text.count("http {\n") == 1
        (folder / "nginx.conf").write_text(text.replace("http {\n", f"http {{ {_OF_ITS_OWN}\n"))
        (folder / "log").touch()
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        process = subprocess.Popen(
            [
                "nginx",
                "-p",
                name,
                "-c",
                "nginx.conf",
                "-e",
                "log",
                "-g",
                "daemon off; pid nginx.pid;",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **_as_nobody(),
        )
        try:
            _wait(process, port, folder / "log")
            yield folder / "log"
        finally:
            process.terminate()
            process.wait(ENDS_WITHIN_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"nginx does not listen on port {port}: {log.read_text()}")


def _as_nobody() -> dict[str, Any]:
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": {"PATH": _PATH}, **user}
