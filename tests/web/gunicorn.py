"""A real gunicorn with forked workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_WITHIN_SECONDS = 60
ROOT = Path(__file__).parents[2]
_PATH = os.pathsep.join([str(ROOT), str(ROOT / "examples"), str(ROOT / "examples" / "django_monolith")])


@contextmanager
def a_gunicorn(app: str, folder: Path, *options: str, ready: str, **environment: str) -> Iterator[str]:
    """Serve ``module:app`` from two workers with two threads each, forked once the application was loaded.

    Args:
        app: what gunicorn imports.
        folder: where it runs; its log goes there.
        options: of gunicorn.
        ready: a path that answers below 500 once it runs.
        environment: of the process.

    Yields:
        its address.
    """
    with socket.socket() as listening:
        # Handed over open, so that no other process takes the port in between.
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", app, "--preload", "--workers", "2", "--threads", "2", "--bind"]
        command += [f"fd://{listening.fileno()}", "--worker-tmp-dir", str(folder), "--no-control-socket", *options]
        with (folder / "gunicorn.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": _PATH, **environment},
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _until_ready(process, address + ready, folder / "gunicorn.log")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    # One client: making one takes longer than asking.
    with httpx.Client(timeout=10) as client:
        while time.monotonic() < until and process.poll() is None:
            try:
                if client.get(address).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise AssertionError(f"gunicorn did not start:\n{log.read_text()[-4000:]}")
